// Names of users and groups as a root file system's etc/passwd and etc/group have them. Pure; never asks the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

struct PasswdEntry {
    std::string name;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string home;
};
struct GroupEntry {
    std::string name;
    std::uint32_t gid = 0;
    std::vector<std::string> members;
};

/// Lines that are malformed are passed over, as libc does.
std::vector<PasswdEntry> parse_passwd(std::string_view text);
std::vector<GroupEntry> parse_group(std::string_view text);

/// Who a command runs as.
struct ResolvedUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    /// Supplementary groups, `gid` first, then sorted: container runtimes list the primary group as well.
    std::vector<std::uint32_t> groups;
    /// Empty if the user is in no etc/passwd.
    std::string home;
};

/// USER as an image has it: "user[:group]", names or numbers; empty is root. With a group given there are no
/// supplementary groups; without one the user's own group and those that list it. A number needs no entry.
/// Throws Error ("build.unknown-user", "build.unknown-group").
ResolvedUser resolve_user(std::string_view user, const std::optional<std::string>& passwd,
                          const std::optional<std::string>& group);

}  // namespace imgbuild::builder
