// The map of more than one's own id can only be written from outside, by a set-user-id program. So a child stays behind
// in the old namespace and starts it when we are in the new one:
//
//   we:    fork ─────────── unshare(user) ── "go" ──────────────────── read the child's report, go on as root
//   child:       wait for "go" ─────────────────── newuidmap, newgidmap ── report
#include "builder/sandbox/plain_user.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "builder/sandbox/subordinate_ids.hpp"
#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxIdFile = std::size_t{16} << 20U;
constexpr std::size_t kMaxReport = 4096;
constexpr const char* kIdFiles[] = {"/etc/subuid", "/etc/subgid"};
constexpr const char* kPrograms[] = {"newuidmap", "newgidmap"};
// Not the caller's PATH: what is started here has more rights than he.
constexpr const char* kDirectories[] = {"/usr/bin/", "/bin/", "/usr/local/bin/", "/run/wrappers/bin/"};

[[noreturn]] void lacks(const char* code, std::string message, std::string hint) {
    throw Error({.code = code, .message = std::move(message), .hint = std::move(hint), .where = {}});
}

std::optional<std::string> read_if_there(const std::string& path, std::size_t limit) {
    try {
        return util::read_file(path, limit);
    } catch (const IoError& error) {
        if (error.error_number() != ENOENT) throw;
        return std::nullopt;
    }
}

/// The name in the password file; empty for somebody who has only a number.
std::string user_name(uid_t uid) {
    const passwd* entry = ::getpwuid(uid);
    return entry != nullptr ? entry->pw_name : "";
}

std::string find_program(const char* name) {
    for (const char* directory : kDirectories) {
        std::string path = std::string(directory) + name;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    lacks("machine.no-newuidmap", fmt::format("building as a plain user needs {}, which is not installed", name),
          "install it as root (Debian, Ubuntu: apt-get install uidmap; Fedora: dnf install shadow-utils)");
}

/// newuidmap or newgidmap with its arguments but for the process.
std::vector<std::string> map_command(const char* program, const char* file, const std::string& user,
                                     std::uint32_t own) {
    const std::string text = read_if_there(file, kMaxIdFile).value_or("");
    const std::vector<IdRange> ranges = parse_subordinate_ids(text, user, ::getuid());
    if (ranges.empty()) {
        const std::string who = user.empty() ? fmt::format("{}", ::getuid()) : user;
        lacks("machine.no-subordinate-ids",
              fmt::format("user {} has no subordinate ids in {}, and an image has files of many owners",
                          util::quote(who), file),
              fmt::format("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {} (ranges that "
                          "nobody else has)",
                          who));
    }
    std::vector<std::string> out = {find_program(program)};
    for (std::string& argument : map_arguments(subordinate_map(own, ranges))) out.push_back(std::move(argument));
    return out;
}

/// Runs a program to its end with its messages in `report`; true if it was content. Between fork and exec of a process
/// that had one thread, so everything is allowed.
bool run_program(const std::vector<std::string>& command, int report) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::vector<char*> args;
        for (const std::string& word : command) args.push_back(const_cast<char*>(word.c_str()));
        args.push_back(nullptr);
        char* const env[] = {nullptr};
        ::dup2(report, STDERR_FILENO);
        ::execve(args[0], args.data(), env);
        ::_exit(127);
    }
    int status = 0;
    while (pid > 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The child: when `go` has a byte, has the maps of its parent written. Its exit status says whether that worked.
[[noreturn]] void write_maps(std::array<std::vector<std::string>, 2> commands, pid_t parent, int go, int report) {
    char byte = 0;
    if (::read(go, &byte, 1) != 1) ::_exit(0);  // our parent has given up
    for (std::vector<std::string>& command : commands) {
        command.insert(command.begin() + 1, fmt::format("{}", parent));
        if (!run_program(command, report)) ::_exit(1);
    }
    ::_exit(0);
}

std::string sysctl(const char* name) {
    const std::optional<std::string> text = read_if_there(std::string("/proc/sys/") + name, 64);
    return text ? std::string(util::trim(*text)) : "";
}

/// What stands in the way of user namespaces, as far as it can be seen.
std::string user_namespace_hint(int error) {
    if (sysctl("kernel/unprivileged_userns_clone") == "0") return "as root: sysctl kernel.unprivileged_userns_clone=1";
    if (sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1") {
        return "AppArmor allows them to known programs only: give imgbuild a profile with 'userns,' (docs/sandbox.md), "
               "or as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if (sysctl("user/max_user_namespaces") == "0" || error == ENOSPC) {
        return "as root: sysctl user.max_user_namespaces=15000";
    }
    return "something around this process forbids it, such as the seccomp filter of a container";
}

void unshare_user() {
    if (::unshare(CLONE_NEWUSER) == 0) return;
    const int error = errno;
    lacks("machine.no-user-namespaces",
          fmt::format("this machine does not let a plain user make a user namespace: {}", std::strerror(error)),
          user_namespace_hint(error));
}

}  // namespace

void enter_user_namespace() {
    const std::string user = user_name(::getuid());
    const std::uint32_t own[] = {::getuid(), ::getgid()};
    std::array<std::vector<std::string>, 2> commands;
    for (std::size_t i = 0; i < commands.size(); ++i) {
        commands[i] = map_command(kPrograms[i], kIdFiles[i], user, own[i]);
    }
    const pid_t self = ::getpid();
    util::Pipe go = util::make_pipe();
    util::Pipe report = util::make_pipe();
    const pid_t child = util::check(::fork(), "start", "a process that writes our id maps");
    if (child == 0) {
        go.write.reset();
        write_maps(std::move(commands), self, go.read.get(), report.write.get());
    }
    report.write.reset();
    int status = -1;
    {
        const util::Defer reap([&] {
            go.write.reset();
            while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
            }
        });
        unshare_user();
        util::write_all(go.write.get(), std::string_view("g"), "a pipe");
    }
    if (status != 0) {
        const std::string said(util::trim(util::read_all(report.read.get(), kMaxReport, "the report of newuidmap")));
        lacks("machine.newuidmap-failed",
              fmt::format("newuidmap cannot write the id map of this process: {}",
                          said.empty() ? "it was not started" : said),
              "it must be set-user-id root or have cap_setuid, and /etc/subuid and /etc/subgid must give user " +
                  (user.empty() ? fmt::format("{}", own[0]) : util::quote(user)) + " the ranges that it names");
    }
}

}  // namespace imgbuild::sandbox
