// The last operations, with which a forked process turns into the step's command; and its supervision by PID 1.
#pragma once

#include <sys/types.h>

#include "builder/sandbox/init/state.hpp"
#include "builder/sandbox/operations.hpp"

namespace imgbuild::sandbox::init {

using wire::Viewed;

void carry_out(State& state, const op::ChangeDirectory<Viewed>& operation);
void carry_out(State& state, const op::InstallFilter<Viewed>& operation);
void carry_out(State& state, const op::BoundCapabilities<Viewed>& operation);
void carry_out(State& state, const op::SetIdentity<Viewed>& operation);
void carry_out(State& state, const op::SetSecretVariable<Viewed>& operation);
[[noreturn]] void carry_out(State& state, const op::Execute<Viewed>& operation);

/// Makes a forked child fit to become the command: a session of its own, /dev/null as input, no descriptor but 0 to 2,
/// signals as a new process expects them.
void prepare_command(State& state);

/// What PID 1 does while the command runs: reaps, tells the worker how the command ended, and exits, upon which the
/// kernel ends everything that is left. All signals must be blocked.
[[noreturn]] void supervise(State& state, pid_t command);

}  // namespace imgbuild::sandbox::init
