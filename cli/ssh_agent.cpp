// `ssh-agent COMMAND` runs beside the command and ends some seconds after it. The command is a `cat` that reads a pipe
// of ours, so the agent goes with us even if we are killed. The command also tells us the agent's pid, so that it can
// be ended at once and not only when it looks for its parent the next time.
#include "cli/ssh_agent.hpp"

#include <imgbuild/error.hpp>

#include "cli/app_context.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace imgbuild::cli {
namespace {

Error ssh_error(std::string message, std::string hint) {
    return Error({.code = "source.ssh", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

struct Streams {
    int in;
    int out;
};

/// `socket`: for SSH_AUTH_SOCK, or empty.
pid_t start_program(const std::vector<std::string>& args, const std::string& socket, const Streams& streams) {
    std::vector<std::string> environment = {"LC_ALL=C", "SSH_ASKPASS_REQUIRE=never"};
    for (const char* name : {"PATH", "HOME"}) {
        if (const auto value = AppContext::environment(name)) environment.push_back(fmt::format("{}={}", name, *value));
    }
    if (!socket.empty()) environment.push_back("SSH_AUTH_SOCK=" + socket);
    const auto pointers = [](const std::vector<std::string>& texts) {
        std::vector<char*> out;
        out.reserve(texts.size() + 1);
        for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
        out.push_back(nullptr);
        return out;
    };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, streams.in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, streams.out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, streams.out, STDERR_FILENO);
    // We block signals to wait for them, and Ctrl-C is for us to pass on.
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    pid_t pid = -1;
    const int failure = ::posix_spawnp(&pid, args.front().c_str(), &actions, &attributes, pointers(args).data(),
                                       pointers(environment).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
        throw ssh_error(fmt::format("{} cannot be started: {}", args.front(), strerrordesc_np(failure)),
                        "install the ssh client, or give the socket of an agent: --ssh ID=SOCKET");
    }
    return pid;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

std::string temporary_parent() {
    // For the owner alone in any case; the first of these vanishes at the user's logout.
    for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
        const auto value = AppContext::environment(name);
        if (value && ::access(value->c_str(), W_OK | X_OK) == 0) return *value;
    }
    return "/tmp";
}

}  // namespace

SshAgent::SshAgent(const std::vector<std::string>& keys) : directory_(temporary_parent(), "imgbuild-ssh-") {
    try {
        start();
        add(keys);
    } catch (...) {
        end();
        throw;
    }
}

SshAgent::~SshAgent() {
    end();
}

void SshAgent::end() noexcept {
    lifeline_.reset();
    if (agent_) {
        constexpr int kPatience = 5000;
        ::syscall(SYS_pidfd_send_signal, agent_.get(), SIGTERM, nullptr, 0);
        pollfd gone{agent_.get(), POLLIN, 0};
        while (::poll(&gone, 1, kPatience) < 0 && errno == EINTR) {
        }
    }
    if (pid_ > 0) wait_for(pid_);
}

// The agent makes its socket before it starts the command.
void SshAgent::start() {
    util::Pipe life = util::make_pipe();
    util::Pipe ready = util::make_pipe();
    pid_ = start_program({"ssh-agent", "-a", socket(), "sh", "-c", "echo $SSH_AGENT_PID; exec cat >/dev/null"}, "",
                         {.in = life.read.get(), .out = ready.write.get()});
    lifeline_ = std::move(life.write);
    ready.write.reset();
    char text[512];
    std::string said;
    while (!said.contains('\n')) {
        const ssize_t size = ::read(ready.read.get(), text, sizeof text);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        said.append(text, static_cast<std::size_t>(size));
    }
    if (const auto number = util::parse_number(util::trim(said))) {
        agent_ = util::Fd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(*number), 0)));
        if (agent_) return;
    }
    throw ssh_error(fmt::format("ssh-agent did not start: {}", util::quote(util::trim(said))),
                    "give the socket of an agent that runs: --ssh ID=SOCKET");
}

void SshAgent::add(const std::vector<std::string>& keys) const {
    std::vector<std::string> args = {"ssh-add", "-q", "--"};
    args.insert(args.end(), keys.begin(), keys.end());
    const util::Fd null = util::open_path("/dev/null", O_RDWR);
    util::Pipe output = util::make_pipe();
    const pid_t pid = start_program(args, socket(), {.in = null.get(), .out = output.write.get()});
    output.write.reset();
    constexpr std::size_t kLimit = std::size_t{64} << 10U;
    std::string said;
    try {
        said = util::read_all(output.read.get(), kLimit, "the output of ssh-add");
    } catch (const Error&) {
        wait_for(pid);
        throw;
    }
    if (wait_for(pid) == 0) return;
    throw ssh_error(fmt::format("ssh-add does not take the keys: {}", util::quote(util::trim(said))),
                    "a key with a passphrase has to be added to an agent first: ssh-add KEY, and --ssh default");
}

}  // namespace imgbuild::cli
