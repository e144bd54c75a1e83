#include "builder/sandbox/user_facts.hpp"

#include <imgbuild/error.hpp>

#include <pwd.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "builder/sandbox/spawn.hpp"
#include "builder/sandbox/subordinate_ids.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxSystemFile = std::size_t{16} << 20U;
constexpr const char* kDirectories[] = {"/usr/bin/", "/bin/", "/usr/local/bin/", "/run/wrappers/bin/"};

std::optional<std::uint64_t> sysctl(const std::string& name) {
    const std::optional<std::string> text = read_system_file("/proc/sys/" + name);
    return text ? util::parse_number(util::trim(*text)) : std::nullopt;
}

std::uint64_t count_ids(const char* file, const UserFacts& user) {
    std::uint64_t count = 0;
    for (const IdRange& range : parse_subordinate_ids(read_system_file(file).value_or(""), user.name, user.uid)) {
        count += range.count;
    }
    return count;
}

bool exists(const char* path) {
    return ::access(path, F_OK) == 0;
}

std::string find_container() {
    if (exists("/.dockerenv")) return "docker";
    if (exists("/run/.containerenv")) return "podman";
    if (std::getenv("KUBERNETES_SERVICE_HOST") != nullptr) return "kubernetes";
    if (const auto name = read_system_file("/run/systemd/container")) return std::string(util::trim(*name));
    return {};
}

/// With both flags in one call, so that a security module that takes the new namespace's capabilities away is found.
int try_namespaces() {
    int pidfd = -1;
    const long pid =
        ::syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
    if (pid == 0) ::_exit(0);
    if (pid < 0) return errno;
    const util::Fd process(pidfd);
    reap(process.get());
    return 0;
}

}  // namespace

std::optional<std::string> read_system_file(const std::string& path) {
    try {
        return util::read_file(path, kMaxSystemFile);
    } catch (const IoError& error) {
        if (error.error_number() != ENOENT) throw;
        return std::nullopt;
    }
}

std::string find_map_program(const std::string& name) {
    for (const char* directory : kDirectories) {
        std::string path = directory + name;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return {};
}

std::string shown_name(const UserFacts& user) {
    return user.name.empty() ? fmt::format("{}", user.uid) : user.name;
}

UserFacts ask_user() {
    UserFacts facts;
    facts.uid = ::geteuid();
    if (const passwd* entry = ::getpwuid(facts.uid); entry != nullptr) facts.name = entry->pw_name;
    facts.container = find_container();
    if (facts.uid != 0) {
        facts.who = Who::plain_user;
        facts.subordinate_uids = count_ids("/etc/subuid", facts);
        facts.subordinate_gids = count_ids("/etc/subgid", facts);
    } else if (!facts.container.empty()) {
        facts.who = Who::container_root;
    }
    facts.has_newuidmap = !find_map_program("newuidmap").empty();
    facts.has_newgidmap = !find_map_program("newgidmap").empty();
    facts.namespace_error = try_namespaces();
    facts.clone_forbidden = sysctl("kernel/unprivileged_userns_clone") == 0;
    facts.apparmor_restricts = sysctl("kernel/apparmor_restrict_unprivileged_userns") == 1;
    facts.max_user_namespaces = sysctl("user/max_user_namespaces");
    return facts;
}

}  // namespace imgbuild::sandbox
