#include "cli/progress_plain.hpp"

#include "cli/print_error.hpp"
#include "util/fd.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::cli {
namespace {

// A line that never ends must not fill the memory.
constexpr std::size_t kLongestLine = 64U << 10;

std::string seconds(std::chrono::milliseconds duration) {
    return fmt::format("{:.1f}s", static_cast<double>(duration.count()) / 1000);
}

}  // namespace

void PlainProgress::report(const Event& event) noexcept {
    try {
        const std::lock_guard lock(mutex_);
        print(event);
    } catch (...) {
        // A terminal that is gone, or no memory for a line: the build goes on without it (see ProgressSink).
    }
}

void PlainProgress::print(const Event& event) {
    std::visit(util::overloaded{
                   [](const event::BuildPlanned&) {},
                   [this](const event::StepStarted& e) { started(e); },
                   [this](const event::StepOutput& e) { output(e); },
                   // Plain text has no place for a number that changes; a transfer is seen by its step's time.
                   [](const event::StepTransfer&) {},
                   [this](const event::StepFinished& e) { finished(e); },
                   [this](const event::Warning& e) { write(render_diagnostic(e.diagnostic, e.file.get())); },
               },
               event);
}

void PlainProgress::started(const event::StepStarted& event) {
    const StepInfo& step = event.step;
    running_[step.number].begin = std::chrono::steady_clock::now();
    const std::string position = step.position.empty() ? "" : "[" + step.position + "] ";
    write(fmt::format("#{} {}{}\n", step.number, position, step.instruction));
}

void PlainProgress::output(const event::StepOutput& event) {
    Running& running = running_[event.number];
    running.partial += event.text;
    std::string lines;
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - running.begin);
    const std::string prefix = fmt::format("#{} {:.3f} ", event.number, static_cast<double>(elapsed.count()) / 1000);
    std::size_t begin = 0;
    for (;;) {
        std::size_t end = running.partial.find('\n', begin);
        if (end == std::string::npos) break;
        std::string_view line = std::string_view(running.partial).substr(begin, end - begin);
        if (line.ends_with('\r')) line.remove_suffix(1);
        lines += prefix;
        lines += line;
        lines += '\n';
        begin = end + 1;
    }
    running.partial.erase(0, begin);
    if (running.partial.size() > kLongestLine) {
        lines += prefix + running.partial + "\n";
        running.partial.clear();
    }
    write(lines);
}

void PlainProgress::flush(std::size_t number, Running& running) {
    if (running.partial.empty()) return;
    write(fmt::format("#{} {}\n", number, running.partial));
    running.partial.clear();
}

void PlainProgress::finished(const event::StepFinished& event) {
    const std::size_t number = event.step.number;
    flush(number, running_[number]);
    running_.erase(number);
    switch (event.outcome) {
        case StepOutcome::done:
            write(fmt::format("#{} DONE {}\n", number, seconds(event.duration)));
            return;
        case StepOutcome::cached:
            write(fmt::format("#{} CACHED\n", number));
            return;
        case StepOutcome::failed:
            write(fmt::format("#{} ERROR {}\n", number, event.detail));
            return;
        case StepOutcome::cancelled:
            write(fmt::format("#{} CANCELED\n", number));
            return;
    }
}

void PlainProgress::write(std::string_view text) const {
    util::write_all(fd_, text, "progress");
}

}  // namespace imgbuild::cli
