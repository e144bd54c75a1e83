// One step from the start of its init to the end of its last process, as the worker sees it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "builder/sandbox/plan.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/sandbox/wire.hpp"
#include "util/fd.hpp"

namespace imgbuild::sandbox {

/// Owns the step's processes: when the object goes, they are gone.
class RunningStep {
public:
    /// The descriptors that an init begins with (wire.hpp); not owned.
    struct Start {
        /// See init_program.hpp.
        int init;
        /// An encoded plan.
        int plan;
        int user_namespace;
        /// The idmapped store, or -1.
        int store;
    };
    /// Throws IoError.
    explicit RunningStep(const Start& start);
    ~RunningStep();
    RunningStep(const RunningStep&) = delete;
    RunningStep& operator=(const RunningStep&) = delete;

    /// Passes on the output until the step ends; see Sandbox::run(). `plan` explains failures. To be called once.
    StepResult follow(const SandboxPlan& plan, OutputSink& output, std::stop_token stop,
                      std::chrono::milliseconds grace);

private:
    using Clock = std::chrono::steady_clock;

    void await_start();
    void watch(OutputSink& output, int wake, const std::stop_token& stop, std::chrono::milliseconds grace);
    /// Milliseconds for poll(); kills the step if its time is over.
    int time_left();
    void ask_to_end(std::chrono::milliseconds grace);
    bool receive();
    void remember_owner(const wire::Message& message);
    void kill() noexcept;
    StepResult finish(const SandboxPlan& plan, bool stopped);

    util::Fd status_;
    util::Fd lifeline_;
    util::Fd out_;
    util::Fd err_;
    /// The process that starts PID 1, until it has done so.
    util::Fd starter_;
    /// PID 1 of the step.
    util::Fd init_;
    std::optional<wire::Message> failure_;
    std::optional<int> ended_;
    std::map<std::string, GivenAway> given_away_;
    std::optional<Clock::time_point> deadline_;
};

}  // namespace imgbuild::sandbox
