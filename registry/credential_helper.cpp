#include "registry/credential_helper.hpp"

#include <imgbuild/error.hpp>

#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

// Some helpers ask a cloud, or a person for a passphrase.
constexpr std::chrono::seconds kLongestRun{120};
constexpr std::size_t kMaxOutput = 1U << 20;
constexpr int kPollMs = 50;
// What helpers say, by convention, when they have nothing.
constexpr std::string_view kNotFound = "credentials not found in native keychain";
constexpr std::string_view kTokenUser = "<token>";

std::string program_name(const std::string& name) {
    return "docker-credential-" + name;
}

[[noreturn]] void fail(const std::string& name, const std::string& server, std::string_view verb, std::string why,
                       std::string hint = {}) {
    if (hint.empty()) hint = fmt::format("try it by hand: echo {} | {} {}", server, program_name(name), verb);
    throw RegistryError({.code = "registry.credential-helper",
                         .message = fmt::format("credential helper {} for {}: {}", util::quote(program_name(name)),
                                                util::quote(server), why),
                         .hint = std::move(hint),
                         .where = {}},
                        0, RegistryError::Retry::no);
}

// Ends and reaps the child whatever happens.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    ~Child() {
        if (pid_ < 0) return;
        ::kill(pid_, SIGKILL);
        wait();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_;
};

struct Run {
    int status = 0;
    std::string output;
};

class HelperCall {
public:
    HelperCall(const std::string& name, const std::string& server, const char* verb)
        : name_(name), server_(server), verb_(verb) {}

    Run run(const std::string& input, const std::stop_token& stop) {
        util::Pipe in = util::make_pipe();
        util::Pipe out = util::make_pipe();
        Child child(start(in.read, out.write));
        in.read.reset();
        out.write.reset();
        send(in.write, input);
        in.write.reset();
        Run result;
        result.output = receive(out.read, stop);
        result.status = child.wait();
        return result;
    }

private:
    pid_t start(const util::Fd& input, const util::Fd& output) const {
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        const util::Defer destroy([&] { ::posix_spawn_file_actions_destroy(&actions); });
        ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, output.get(), STDOUT_FILENO);
        // Some helpers print what they send and get when they are asked to be talkative.
        ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        // Signals that we ignore or block would stay so in the helper.
        posix_spawnattr_t attributes;
        ::posix_spawnattr_init(&attributes);
        const util::Defer destroy_attributes([&] { ::posix_spawnattr_destroy(&attributes); });
        sigset_t signals;
        ::sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&attributes, &signals);
        ::sigaddset(&signals, SIGPIPE);
        ::posix_spawnattr_setsigdefault(&attributes, &signals);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        std::string program = program_name(name_);
        std::string verb = verb_;
        char* const arguments[] = {program.data(), verb.data(), nullptr};
        pid_t pid = -1;
        const int result = ::posix_spawnp(&pid, program.c_str(), &actions, &attributes, arguments, environ);
        if (result == ENOENT) {
            fail(name_, server_, verb_, "it is not installed",
                 fmt::format("install {}, or take {} out of credsStore and credHelpers in the file with credentials",
                             program, util::quote(name_)));
        }
        if (result != 0) fail(name_, server_, verb_, fmt::format("it cannot be started: {}", strerrordesc_np(result)));
        return pid;
    }

    // Small enough for a pipe's buffer. A helper that reads nothing has its reasons; its exit code tells.
    void send(const util::Fd& pipe, std::string_view input) const {
        if (input.size() > 60000) fail(name_, server_, verb_, "the credentials are too long");
        if (::write(pipe.get(), input.data(), input.size()) < 0 && errno != EPIPE) {
            fail(name_, server_, verb_, fmt::format("writing to it failed: {}", strerrordesc_np(errno)));
        }
    }

    std::string receive(const util::Fd& pipe, const std::stop_token& stop) const {
        const auto deadline = std::chrono::steady_clock::now() + kLongestRun;
        std::string output;
        std::array<char, 4096> buffer;
        for (;;) {
            pollfd waiting{.fd = pipe.get(), .events = POLLIN, .revents = 0};
            const int ready = ::poll(&waiting, 1, kPollMs);
            if (stop.stop_requested()) throw Cancelled();
            if (std::chrono::steady_clock::now() > deadline) {
                fail(name_, server_, verb_, fmt::format("no answer within {} s", kLongestRun.count()));
            }
            if (ready <= 0) continue;
            const ssize_t n = ::read(pipe.get(), buffer.data(), buffer.size());
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) return output;
            output.append(buffer.data(), static_cast<std::size_t>(n));
            if (output.size() > kMaxOutput) fail(name_, server_, verb_, "its answer has no end");
        }
    }

    const std::string& name_;
    const std::string& server_;
    const char* verb_;
};

std::string describe_status(int status) {
    if (WIFSIGNALED(status)) return fmt::format("it was ended by signal {}", WTERMSIG(status));
    return fmt::format("it failed with exit code {}", WEXITSTATUS(status));
}

std::string member(const json& answer, const char* name) {
    const auto found = answer.find(name);
    return found != answer.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::optional<Credentials> ask_credential_helper(const std::string& name, const std::string& server,
                                                 const std::stop_token& stop) {
    const Run run = HelperCall(name, server, "get").run(server, stop);
    if (run.status != 0) {
        if (run.output.contains(kNotFound)) return std::nullopt;
        fail(name, server, "get", describe_status(run.status));
    }
    const json answer = json::parse(run.output, nullptr, false);
    if (!answer.is_object()) fail(name, server, "get", "its answer is no JSON object");
    const std::string user = member(answer, "Username");
    const std::string secret = member(answer, "Secret");
    if (user.empty() && secret.empty()) return std::nullopt;
    if (secret.empty()) fail(name, server, "get", "its answer has no \"Secret\"");
    if (user == kTokenUser) {
        return Credentials{
            .username = {}, .password = {}, .identity_token = secret, .registry_token = {}, .found_in = {}};
    }
    return Credentials{
        .username = user, .password = secret, .identity_token = {}, .registry_token = {}, .found_in = {}};
}

void store_in_credential_helper(const std::string& name, const std::string& server, const Credentials& credentials,
                                const std::stop_token& stop) {
    const json input = {{"ServerURL", server}, {"Username", credentials.username}, {"Secret", credentials.password}};
    const Run run = HelperCall(name, server, "store").run(input.dump(), stop);
    if (run.status != 0) fail(name, server, "store", describe_status(run.status));
}

void erase_from_credential_helper(const std::string& name, const std::string& server, const std::stop_token& stop) {
    const Run run = HelperCall(name, server, "erase").run(server, stop);
    if (run.status != 0 && !run.output.contains(kNotFound)) fail(name, server, "erase", describe_status(run.status));
}

}  // namespace imgbuild::registry
