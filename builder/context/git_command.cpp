#include "builder/context/git_command.hpp"

#include <imgbuild/error.hpp>

#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace imgbuild::builder {
namespace {

constexpr std::size_t kMaxOutput = 16U << 20;
constexpr std::size_t kComplaint = 2000;

Error failed(std::string message, std::string hint) {
    return Error({.code = "source.git", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

std::vector<std::string> small_environment() {
    std::vector<std::string> out = {"GIT_NO_LAZY_FETCH=1",
                                    "GIT_OPTIONAL_LOCKS=0",
                                    "GIT_TERMINAL_PROMPT=0",
                                    "GIT_ASKPASS=/bin/false",
                                    "GIT_ALLOW_PROTOCOL=git:http:https:ssh",
                                    "GIT_SSH_COMMAND=ssh -oBatchMode=yes",
                                    "LC_ALL=C"};
    for (const char* name : {"PATH", "HOME", "XDG_CONFIG_HOME", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy",
                             "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
        if (const char* value = ::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
    }
    return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

// In a process group of its own, so that the helpers that it starts can be ended with it.
pid_t start(const GitCommand& command, int output, int complaint) {
    std::vector<std::string> arguments = {
        "git",       "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",     "-c",
        "gc.auto=0", "-c", "maintenance.auto=false",   "-c", "advice.detachedHead=false"};
    arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
    std::vector<std::string> environment = small_environment();

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const util::Defer free_actions([&] { posix_spawn_file_actions_destroy(&actions); });
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, complaint, STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    const util::Defer free_attributes([&] { posix_spawnattr_destroy(&attributes); });
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    const int failure = ::posix_spawnp(&pid, "git", &actions, &attributes, pointers_to(arguments).data(),
                                       pointers_to(environment).data());
    if (failure == 0) return pid;
    throw failed(fmt::format("git cannot be started: {}", strerrordesc_np(failure)), "install git");
}

// Appends what can be read; false at the end.
bool drain(util::Fd& from, std::string& into) {
    std::array<char, 65536> buffer{};
    const ssize_t n = ::read(from.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) {
        from.reset();
        return false;
    }
    into.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
}

void read_both(util::Fd& output, util::Fd& complaint, GitOutcome& outcome) {
    while (output || complaint) {
        std::array<pollfd, 2> waits = {pollfd{.fd = output.get(), .events = POLLIN, .revents = 0},
                                       pollfd{.fd = complaint.get(), .events = POLLIN, .revents = 0}};
        if (::poll(waits.data(), waits.size(), -1) < 0) {
            if (errno == EINTR) continue;
            throw IoError("wait for", "git", errno);
        }
        if (waits[0].revents != 0) drain(output, outcome.output);
        if (waits[1].revents != 0) drain(complaint, outcome.complaint);
        if (outcome.output.size() > kMaxOutput) throw failed("git says more than can be read", "");
        if (outcome.complaint.size() > 2 * kComplaint) {
            outcome.complaint.erase(0, outcome.complaint.size() - kComplaint);
        }
    }
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

GitOutcome run_git(const GitCommand& command, std::stop_token stop) {
    util::Pipe output = util::make_pipe();
    util::Pipe complaint = util::make_pipe();
    const pid_t pid = start(command, output.write.get(), complaint.write.get());
    output.write.reset();
    complaint.write.reset();
    GitOutcome out;
    const auto end = [pid] { ::kill(-pid, SIGKILL); };
    try {
        const std::stop_callback when_stopped(stop, end);
        read_both(output.read, complaint.read, out);
    } catch (...) {
        end();
        wait_for(pid);
        throw;
    }
    out.exit_code = wait_for(pid);
    if (stop.stop_requested()) throw Cancelled();
    return out;
}

// "committer Name <mail> 1700000000 +0100", in the lines before the first empty one.
std::optional<std::int64_t> committer_time(std::string_view commit) {
    for (const std::string_view line : util::split(commit, '\n')) {
        if (line.empty()) break;
        if (!line.starts_with("committer ")) continue;
        const auto words = util::split(line, ' ');
        if (words.size() < 3) break;
        const auto number = util::parse_number(words[words.size() - 2]);
        if (number && *number < (1ULL << 40)) return static_cast<std::int64_t>(*number);
    }
    return std::nullopt;
}

}  // namespace imgbuild::builder
