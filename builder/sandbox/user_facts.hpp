// Who started this process, and what the machine lets him do with user namespaces: the part of the machine's answers
// that a worker can no longer see, since it is root of its own world (plain_user.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace imgbuild::sandbox {

enum class Who { root, container_root, plain_user };

struct UserFacts {
    Who who = Who::root;
    std::uint32_t uid = 0;
    /// Empty for somebody who has only a number.
    std::string name;
    /// Of /etc/subuid and /etc/subgid; 0 for root, who needs none.
    std::uint64_t subordinate_uids = 0;
    std::uint64_t subordinate_gids = 0;
    /// The set-user-id programs that write id maps are installed.
    bool has_newuidmap = false;
    bool has_newgidmap = false;
    /// The kernel's answer (errno) to somebody who makes a user namespace and a mount namespace in it; 0 if it lets
    /// him.
    int namespace_error = 0;
    /// The settings of the system that may be its reason. kernel.unprivileged_userns_clone is 0 (Debian's kernels).
    bool clone_forbidden = false;
    /// kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu from 23.10 on): programs without a profile get user
    /// namespaces without capabilities.
    bool apparmor_restricts = false;
    /// user.max_user_namespaces; nothing where the kernel has no user namespaces at all.
    std::optional<std::uint64_t> max_user_namespaces;
    /// What is around us, as far as it can be told: "docker", "podman", "kubernetes", …; empty outside of containers.
    std::string container;

    friend bool operator==(const UserFacts&, const UserFacts&) = default;
};

/// Asks. To be called before the process becomes a worker. Makes a short-lived child; may be called from any thread.
UserFacts ask_user();

/// The paths of newuidmap and newgidmap are looked for in fixed directories and not in PATH: they have more rights than
/// the caller. Empty if it is not installed.
std::string find_map_program(const std::string& name);

/// The text of a file of the system; nothing if there is none. Throws IoError for everything else.
std::optional<std::string> read_system_file(const std::string& path);

/// "ci", or the number of somebody without a name.
std::string shown_name(const UserFacts& user);

}  // namespace imgbuild::sandbox
