// What this machine can do for a step: independent answers, probed once and handed to the planners as a value, so
// that a test can plan for a machine it does not run on (DESIGN 5). `imgbuild doctor` prints them.
#pragma once

#include <cstdint>
#include <string>

#include "builder/sandbox/step_spec.hpp"
#include "builder/sandbox/user_facts.hpp"

namespace imgbuild::sandbox {

enum class CgroupLayout { none, v1, hybrid, v2 };

/// What the ids of a step are outside of it.
enum class StepIds {
    /// Unknown: no user namespace can be made.
    none,
    /// The same: every id that the worker has. A plain user's worker has those of its own namespace (worker.hpp).
    identity,
    /// Others, which belong to nobody: root of a step has no rights outside, and reaches the store through an idmapped
    /// mount. For root, with Linux 5.19 and a file system that knows such mounts.
    shifted,
};

struct HostFacts {
    /// As `uname -r` says it.
    std::string kernel_release;
    int kernel_major = 0;
    int kernel_minor = 0;
    /// Effective user id 0, be it that of the worker's own user namespace.
    bool is_root = false;
    StepIds ids = StepIds::none;
    /// overlayfs can be mounted inside a user namespace with `userxattr` and `volatile`, its lower directories
    /// given one by one (fsconfig "lowerdir+", Linux 6.7) and its upper directory in the store.
    bool overlay = false;
    /// A fresh proc can be mounted inside a user and pid namespace. If not, the one that is here can be shown instead.
    bool mount_proc = false;
    /// The kernel takes seccomp filters.
    bool seccomp_filter = false;
    CgroupLayout cgroups = CgroupLayout::none;
    /// Absolute path of the store; lowers, upper and work of a step lie below it.
    std::string store;
    /// What the store lies on, for example "ext4", "overlay", or the magic number in hexadecimal.
    std::string store_file_system;
    /// The hard limit of open files that a step can be given.
    std::uint64_t open_file_limit = 0;
    /// Of this process; a step gets at least 0, so that the worker is not killed in its stead.
    int oom_score_adjustment = 0;
    /// A process may answer system calls of another (seccomp user notification).
    bool user_notification = false;
    /// The control group that we are in is ours to divide: it can be written, with the controllers that limits need.
    bool cgroup_delegated = false;
    /// Something can be made in the store's directory, or the nearest one above it that exists.
    bool store_writable = true;
    /// As `overlay`, with the upper directory on a tmpfs.
    bool overlay_in_memory = false;
    /// Steps work with a copy for their root, and with what `mount_proc` says.
    bool steps = false;
    /// Code of the error with which enter_worker() ended ("machine.…"); empty in a worker. If set, everything that can
    /// only be asked inside of one is as if the answer were "no".
    std::string worker_error = {};
    /// Filled by `imgbuild doctor`, and where no user namespace can be made.
    UserFacts user = {};

    friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

/// Asks the machine. `store` is the store's path, `scratch` an existing directory at or below it in which something may
/// be made for a moment. Makes short-lived children; may be called from any thread. Throws IoError only if the question
/// itself cannot be asked (no pipe, no memory); a "no" is a value.
HostFacts probe_host(const std::string& store, const std::string& scratch);

/// What probe_host() asks without a worker and without writing anything: of the kernel, and of the file system of
/// `place`, an existing directory at or above the store.
HostFacts ask_kernel(const std::string& store, const std::string& place);

/// The root file system that steps get if nobody asks for another. Pure.
RootForm best_root(const HostFacts& facts);

/// Throws Error ("machine.no-user-namespaces", "machine.no-overlay" …, exit code 12) with a hint for the first thing
/// that a step cannot do without (advice.hpp).
void require_steps(const HostFacts& facts);

/// As a JSON object, keys in fixed order, indented by two.
std::string to_json(const HostFacts& facts);

}  // namespace imgbuild::sandbox
