// The system calls that a step cannot make.
#pragma once

#include <string>

namespace imgbuild::sandbox {

/// Who answers what a filter does not judge by itself: PID 1 of the step, or nobody.
enum class Listening { pid_1, nobody };

/// The default filter for this machine's architecture and those that it runs besides, as BPF instructions. Takes a few
/// milliseconds; one result serves all steps. Throws Error ("machine.no-seccomp").
///
/// It shuts what docker's default shuts for a container without further capabilities: other namespaces, mounts,
/// modules, kexec, bpf, perf, keys, clocks, swap, io_uring, userfaultfd … fail with EPERM (clone3 with ENOSYS, so that
/// libraries fall back to clone, whose flags a filter can see), and so does everything newer than this libseccomp
/// knows, with ENOSYS. Making device nodes and setting extended attributes is left to PID 1 of the step, which has to
/// listen (init/notify.hpp); if nobody does, they fail with EOPNOTSUPP.
std::string compile_default_filter(Listening listening = Listening::pid_1);

}  // namespace imgbuild::sandbox
