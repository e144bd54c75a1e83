#include "cli/progress_json.hpp"

#include "util/fd.hpp"
#include "util/overloaded.hpp"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;

json step_json(const StepInfo& step, std::string_view event) {
    json out = {{"v", kSchema}, {"event", event}, {"id", step.number}, {"instruction", step.instruction}};
    if (!step.stage.empty()) out["stage"] = step.stage;
    if (!step.position.empty()) out["position"] = step.position;
    if (step.line != 0) out["line"] = step.line;
    return out;
}

std::string_view outcome_name(StepOutcome outcome) {
    switch (outcome) {
        case StepOutcome::done:
            return "done";
        case StepOutcome::cached:
            return "cached";
        case StepOutcome::failed:
            return "failed";
        case StepOutcome::cancelled:
            return "cancelled";
    }
    return "";
}

json finished_json(const event::StepFinished& event) {
    json out = step_json(event.step, "finished");
    out["outcome"] = outcome_name(event.outcome);
    out["cached"] = event.outcome == StepOutcome::cached;
    out["ms"] = event.duration.count();
    if (event.outcome == StepOutcome::failed) {
        out["error"] = event.detail;
    } else if (!event.detail.empty()) {
        out["reason"] = event.detail;
    }
    return out;
}

json warning_json(const event::Warning& event) {
    json out = {
        {"v", kSchema}, {"event", "warning"}, {"code", event.diagnostic.code}, {"message", event.diagnostic.message}};
    if (event.diagnostic.span) out["line"] = event.diagnostic.span.line;
    if (event.file) out["file"] = event.file->name;
    return out;
}

json to_json(const Event& event) {
    return std::visit(util::overloaded{
                          [](const event::BuildPlanned& e) -> json {
                              return {{"v", kSchema}, {"event", "planned"}, {"steps", e.total}};
                          },
                          [](const event::StepStarted& e) { return step_json(e.step, "started"); },
                          [](const event::StepOutput& e) -> json {
                              return {{"v", kSchema},
                                      {"event", "output"},
                                      {"id", e.number},
                                      {"stream", e.is_stderr ? "stderr" : "stdout"},
                                      {"text", e.text}};
                          },
                          [](const event::StepTransfer& e) -> json {
                              return {{"v", kSchema},   {"event", "transfer"}, {"id", e.number},
                                      {"what", e.what}, {"done", e.done},      {"total", e.total}};
                          },
                          [](const event::StepFinished& e) { return finished_json(e); },
                          [](const event::Warning& e) { return warning_json(e); },
                      },
                      event);
}

}  // namespace

void JsonProgress::report(const Event& event) noexcept {
    try {
        const std::string line = to_json(event).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
        const std::lock_guard lock(mutex_);
        util::write_all(fd_, line, "progress");
    } catch (...) {
        // Nobody reads, or no memory for a line: the build goes on without it (see ProgressSink).
    }
}

}  // namespace imgbuild::cli
