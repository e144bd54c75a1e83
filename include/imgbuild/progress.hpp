// What happens during a build, as values. The rooms report, and whoever started the build renders or records:
// plain text, a terminal, JSON lines (docs/schemas/progress.json), a test.
#pragma once

#include <imgbuild/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace imgbuild {

/// A step as people see it: one node of the build graph. Numbers count from 1 in the order of the build file.
struct StepInfo {
    std::size_t number = 0;
    /// The stage's name, or "stage-" and its index if it has none. Empty for work that belongs to no stage.
    std::string stage;
    /// "build 2/4": position among the steps of its stage. Empty for work that belongs to no stage.
    std::string position;
    /// The instruction as written, in one line, for example "RUN make". Or what is done: "push 'a/b:c'".
    std::string instruction;
    /// First line in the build file, 0 if there is none.
    std::uint32_t line = 0;
};

enum class StepOutcome {
    done,
    /// The result was there already; nothing ran.
    cached,
    failed,
    /// Something else failed or somebody asked to stop before it was finished.
    cancelled,
};

namespace event {

/// All steps of the build, once, before anything runs: `total` of them.
struct BuildPlanned {
    std::size_t total = 0;
};
struct StepStarted {
    StepInfo step;
};
/// Bytes that the step's command wrote, as they came: lines may be cut anywhere. `text` lives during the call only.
struct StepOutput {
    std::size_t number = 0;
    bool is_stderr = false;
    std::string_view text;
};
/// How far a transfer of the step is, in bytes. `total` is 0 if unknown.
struct StepTransfer {
    std::size_t number = 0;
    std::string what;
    std::uint64_t done = 0;
    std::uint64_t total = 0;
};
struct StepFinished {
    StepInfo step;
    StepOutcome outcome = StepOutcome::done;
    std::chrono::milliseconds duration{0};
    /// Why it was cached or not, in one sentence; or the error of a failed step.
    std::string detail;
};
/// A finding that does not stop the build. The file may be absent.
struct Warning {
    Diagnostic diagnostic;
    std::shared_ptr<const SourceFile> file;
};

}  // namespace event

using Event = std::variant<event::BuildPlanned, event::StepStarted, event::StepOutput, event::StepTransfer,
                           event::StepFinished, event::Warning>;

/// Takes events. May be called from any thread, several at once; must not block for long and cannot fail: a progress
/// line that cannot be printed is no reason to lose a build.
class ProgressSink {
public:
    virtual ~ProgressSink() = default;
    virtual void report(const Event& event) noexcept = 0;
};

}  // namespace imgbuild
