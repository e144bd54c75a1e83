// The map of more than one's own id can only be written from outside, by a set-user-id program. So a child stays behind
// in the old namespace and starts it when we are in the new one:
//
//   we:    fork ─────────── unshare(user) ── "go" ──────────────────── read the child's report, go on as root
//   child:       wait for "go" ─────────────────── newuidmap, newgidmap ── report
#include "builder/sandbox/plain_user.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "builder/sandbox/advice.hpp"
#include "builder/sandbox/subordinate_ids.hpp"
#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxReport = 4096;
constexpr const char* kIdFiles[] = {"/etc/subuid", "/etc/subgid"};
constexpr const char* kPrograms[] = {"newuidmap", "newgidmap"};

/// newuidmap or newgidmap with its arguments but for the process.
std::vector<std::string> map_command(const char* program, const char* file, const UserFacts& user, std::uint32_t own) {
    const std::string text = read_system_file(file).value_or("");
    const std::vector<IdRange> ranges = parse_subordinate_ids(text, user.name, user.uid);
    if (ranges.empty()) throw_lack(no_subordinate_ids(user, file));
    std::vector<std::string> out = {find_map_program(program)};
    if (out.front().empty()) throw_lack(no_map_program(program));
    for (std::string& argument : map_arguments(subordinate_map(own, ranges))) out.push_back(std::move(argument));
    return out;
}

/// Runs a program to its end with its messages in `report`; true if it was content. Between fork and exec of a process
/// that had one thread, so everything is allowed.
bool run_program(const std::vector<std::string>& command, int report) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::vector<char*> args;
        args.reserve(command.size() + 1);
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

void unshare_user(UserFacts user) {
    if (::unshare(CLONE_NEWUSER) == 0) return;
    user.namespace_error = errno;
    throw_lack(no_user_namespaces(user));
}

}  // namespace

void enter_user_namespace(const UserFacts& user) {
    std::array commands{map_command(kPrograms[0], kIdFiles[0], user, ::getuid()),
                        map_command(kPrograms[1], kIdFiles[1], user, ::getgid())};
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
        unshare_user(user);
        util::write_all(go.write.get(), std::string_view("g"), "a pipe");
    }
    if (status != 0) {
        const std::string said(util::trim(util::read_all(report.read.get(), kMaxReport, "the report of newuidmap")));
        throw_lack(map_program_failed(user, said.empty() ? "it was not started" : said));
    }
}

}  // namespace imgbuild::sandbox
