// Running one build step.
//
// A *step* is a command with a root file system; a *sandbox* runs it and says how it ended. What changed lies in
// `StepSpec::upper` afterwards, in overlay form. Two implementations:
//
//   NamespaceSandbox   real: a process in namespaces of its own, for root (rung 1 of DESIGN 5);
//   ScriptedSandbox    the step's effect is a C++ function on `upper`; for tests of everything above.
//
//   sandbox::enter_worker();                                    // first thing in main(), see worker.hpp
//   const HostFacts facts = sandbox::probe_host(store_path);
//   sandbox::NamespaceSandbox box(facts);                       // one per build: owns the build's user namespace
//   StepSpec step{.args = {"/bin/sh", "-c", "make"}, .env = {"PATH=/bin"}, .lowers = …, .upper = …, .work = …};
//   for (auto& point : sandbox::required_mount_points(step)) …  // make them in a scaffold tree, add it to `lowers`
//   StepResult result = box.run(step, output, stop);
//
// How a step can end:
//   - the command ran and ended: a StepResult with its exit code or signal, nothing interpreted;
//   - the command could not be executed: exit code 127 (not found) or 126 (not executable), with a line that says why
//     in the step's stderr, as shells and container runtimes do;
//   - the sandbox could not be set up: IoError with operation, path, errno and hint;
//   - the stop token fired: SIGTERM to the command's process group, SIGKILL to everything after the grace period,
//     then Cancelled.
// In every case no process and no mount of the step is left when run() returns, and nobody writes to `upper` any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "builder/sandbox/host_facts.hpp"
#include "builder/sandbox/step_spec.hpp"

namespace imgbuild::sandbox {

enum class Stream { out, err };

/// Takes what a step prints, as it comes: any number of bytes, cut anywhere. Called from the thread that called run().
/// An exception ends the step (as a stop without grace) and leaves run().
class OutputSink {
public:
    virtual ~OutputSink() = default;
    virtual void output(Stream stream, std::string_view bytes) = 0;
};

/// Who a link or fifo of the step was given to, where neither the ids can be had nor a note be left on it
/// (layers/tree_marks.hpp). All ones: not changed.
struct GivenAway {
    std::uint32_t uid = 0xffffffff;
    std::uint32_t gid = 0xffffffff;
    friend bool operator==(const GivenAway&, const GivenAway&) = default;
};

struct StepResult {
    /// 0 to 255; 128 + signal if a signal ended the command, as shells say it.
    int exit_code = 0;
    /// The signal that ended the command, or 0.
    int signal = 0;
    /// Of the largest process of the step, in bytes.
    std::uint64_t peak_rss = 0;
    /// Of all processes of the step.
    std::chrono::microseconds user_time{0};
    std::chrono::microseconds system_time{0};
    /// By path, without a leading "/".
    std::map<std::string, GivenAway> given_away;

    bool succeeded() const { return exit_code == 0; }
    friend bool operator==(const StepResult&, const StepResult&) = default;
};

class Sandbox {
public:
    virtual ~Sandbox() = default;
    /// Runs one step to its end; see the top of this file. May be called from several threads at once.
    virtual StepResult run(const StepSpec& step, OutputSink& output, std::stop_token stop) = 0;
    /// What kind of root file system a step is to be given.
    virtual RootForm root_form() const { return RootForm::overlay; }
};

enum class SnapshotterChoice {
    /// The best that the machine has.
    automatic,
    overlay,
    copy,
};

struct NamespaceOptions {
    /// Between SIGTERM and SIGKILL when a step is stopped; 0 kills at once.
    std::chrono::milliseconds grace{std::chrono::seconds{10}};
    SnapshotterChoice snapshotter = SnapshotterChoice::automatic;
};

class NamespaceSandbox final : public Sandbox {
public:
    /// Makes the build's user namespace. Throws Error ("machine.…") if the machine lacks what steps need, or the
    /// snapshotter that was asked for.
    explicit NamespaceSandbox(HostFacts facts, NamespaceOptions options = {});
    ~NamespaceSandbox() override;
    StepResult run(const StepSpec& step, OutputSink& output, std::stop_token stop) override;
    RootForm root_form() const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// What a script gets. Everything it refers to lives until it returns.
struct ScriptedStep {
    const StepSpec& spec;
    OutputSink& output;
    std::stop_token stop;
};

/// Each step is one call of a function, which works on `spec.upper` with ordinary file operations and returns how the
/// command ended. It is called on the thread of run(); several calls may be in it at once.
class ScriptedSandbox final : public Sandbox {
public:
    using Script = std::function<StepResult(const ScriptedStep&)>;

    explicit ScriptedSandbox(Script script);
    /// Throws Cancelled if the token has fired before or during the script.
    StepResult run(const StepSpec& step, OutputSink& output, std::stop_token stop) override;

private:
    Script script_;
};

}  // namespace imgbuild::sandbox
