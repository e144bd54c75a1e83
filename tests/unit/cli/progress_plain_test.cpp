#include "cli/progress_plain.hpp"

#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fcntl.h>
#include <csignal>
#include <regex>
#include <thread>

namespace imgbuild::cli {
namespace {

StepInfo step(std::size_t number, std::string instruction) {
    return {.number = number, .stage = "s", .position = "s 1/2", .instruction = std::move(instruction), .line = 2};
}

event::StepFinished finished(std::size_t number, StepOutcome outcome, std::string detail = "") {
    return {.step = step(number, "RUN x"),
            .outcome = outcome,
            .duration = std::chrono::milliseconds(1449),
            .detail = std::move(detail)};
}

/// Takes what `report` prints; times within lines become T.
template <class Report>
std::string printed(const Report& report) {
    util::Pipe pipe = util::make_pipe();
    PlainProgress progress(pipe.write.get());
    report(progress);
    pipe.write.reset();
    const std::string text = util::read_all(pipe.read.get(), 1 << 20, "the pipe");
    return std::regex_replace(text, std::regex("(#[0-9]+) [0-9]+\\.[0-9]{3} "), "$1 T ");
}

TEST_CASE("a step is its instruction, its lines and its end") {
    CHECK(printed([](PlainProgress& progress) {
              progress.report(event::BuildPlanned{2});
              progress.report(event::StepStarted{step(1, "RUN x")});
              progress.report(event::StepOutput{1, false, "one\ntwo\r\n"});
              progress.report(finished(1, StepOutcome::done));
              progress.report(event::StepStarted{{.number = 2, .instruction = "push 'a'"}});
              progress.report(finished(2, StepOutcome::cached, "why"));
          }) ==
          "#1 [s 1/2] RUN x\n#1 T one\n#1 T two\n#1 DONE 1.4s\n"
          "#2 push 'a'\n#2 CACHED\n");
}

TEST_CASE("lines of two steps are not mixed, however their bytes come") {
    CHECK(printed([](PlainProgress& progress) {
              progress.report(event::StepOutput{1, false, "a"});
              progress.report(event::StepOutput{2, false, "x"});
              progress.report(event::StepOutput{1, false, "b\nc"});
              progress.report(event::StepOutput{2, true, "y\n"});
              progress.report(event::StepOutput{1, false, "d\n"});
          }) == "#1 T ab\n#2 T xy\n#1 T cd\n");
}

TEST_CASE("a line that has not ended is printed at the step's end") {
    CHECK(printed([](PlainProgress& progress) {
              progress.report(event::StepOutput{1, false, "half"});
              progress.report(finished(1, StepOutcome::failed, "it broke"));
              progress.report(event::StepOutput{2, false, "other half"});
              progress.report(finished(2, StepOutcome::cancelled));
          }) == "#1 half\n#1 ERROR it broke\n#2 other half\n#2 CANCELED\n");
}

TEST_CASE("a line without an end is printed in pieces instead of being kept") {
    const std::string piece(40 * 1024, 'x');
    const std::string text = [&] {
        util::Fd file(util::check(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), "open", "/tmp"));
        PlainProgress progress(file.get());
        progress.report(event::StepOutput{1, false, piece});
        progress.report(event::StepOutput{1, false, piece});
        util::check(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "seek", "");
        return util::read_all(file.get(), 1 << 20, "the file");
    }();
    CHECK(text.size() > 2 * piece.size());
    CHECK(text.ends_with("x\n"));
}

TEST_CASE("a warning is one line") {
    CHECK(printed([](PlainProgress& progress) {
              progress.report(event::Warning{{Severity::warning, "build.x", "odd", "", {}}, nullptr});
          }) == "warning: odd\n");
}

TEST_CASE("a progress that nobody reads or that is closed does not end the build") {
    std::signal(SIGPIPE, SIG_IGN);  // as main() does
    util::Pipe pipe = util::make_pipe();
    pipe.read.reset();
    for (const int fd : {pipe.write.get(), -1}) {
        PlainProgress progress(fd);
        progress.report(event::StepStarted{step(1, "RUN x")});
        progress.report(event::StepOutput{1, false, "text\npartial"});
        progress.report(finished(1, StepOutcome::done));
    }
}

TEST_CASE("threads may report at once, and every line is whole") {
    const std::string text = printed([](PlainProgress& progress) {
        std::vector<std::jthread> threads;
        for (std::size_t number = 1; number <= 4; ++number) {
            threads.emplace_back([&progress, number] {
                for (int i = 0; i < 50; ++i) {
                    progress.report(event::StepOutput{number, false, "some "});
                    progress.report(event::StepOutput{number, false, "text\n"});
                }
            });
        }
    });
    const auto lines = util::split(text, '\n');
    CHECK(lines.size() == 201);
    for (const std::string_view line : lines) {
        CHECK((line.empty() || line.substr(2) == " T some text"));
    }
}

}  // namespace
}  // namespace imgbuild::cli
