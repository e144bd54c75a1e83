#include "builder/client/session.hpp"

#include <imgbuild/error.hpp>

#include "builder/client/worker_process.hpp"
#include "builder/worker/channel.hpp"
#include "builder/worker/protocol.hpp"
#include "util/defer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

namespace imgbuild::client {
namespace {

using std::chrono::steady_clock;

// A file in memory with the value, which is wiped here.
util::Fd secret_file(std::string& value) {
    const util::Defer wipe([&] { ::explicit_bzero(value.data(), value.size()); });
    util::Fd file(util::check(::memfd_create("imgbuild-answer", MFD_CLOEXEC), "make", "a memory file"));
    util::write_all(file.get(), value, "a memory file");
    util::check(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "rewind", "a memory file");
    return file;
}

std::string credentials_json(const RegistryCredentials& credentials) {
    const nlohmann::json json = {{"username", credentials.username},
                                 {"password", credentials.password},
                                 {"identity_token", credentials.identity_token},
                                 {"registry_token", credentials.registry_token}};
    return json.dump();
}

std::vector<std::string> answered(const WorkerOptions& options, const Listening& listening) {
    std::vector<std::string> out;
    if (listening.secret) out.emplace_back("secret");
    if (!listening.agents.empty()) out.emplace_back("agent");
    if (options.credentials) out.emplace_back("credentials");
    return out;
}

std::string program_of(const WorkerOptions& options) {
    if (!options.program.empty()) return absolute_path(options.program);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): see WorkerOptions::environment
    const char* const variable = std::getenv("IMGBUILD_WORKER");
    return variable == nullptr || *variable == '\0' ? IMGBUILD_WORKER_PROGRAM : absolute_path(variable);
}

class Session {
public:
    Session(const worker::Request& request, std::span<const int> descriptors, const WorkerOptions& options,
            const Listening& listening)
        : request_(request),
          descriptors_(descriptors),
          options_(options),
          listening_(listening),
          program_(program_of(options)),
          wake_(util::check(::eventfd(0, EFD_CLOEXEC), "make", "an event descriptor")),
          process_(program_, options.environment),
          channel_(process_.take_socket()) {}

    worker::Result run() {
        const std::stop_callback on_stop(listening_.stop, [this] {
            const std::uint64_t one = 1;
            static_cast<void>(::write(wake_.get(), &one, sizeof one));
        });
        try {
            for (;;) {
                while (const auto line = channel_.take_line()) handle(worker::decode_from_worker(*line));
                if (failure_ || result_) break;
                wait();
                if (channel_.fill() == worker::Channel::Fill::end) throw_died();
            }
        } catch (const IoError&) {
            throw_died();  // of writing to a worker that is gone
        } catch (const CorruptData& error) {
            if (!error.code().starts_with("worker.")) throw;
            throw_misunderstood(error.message());
        }
        static_cast<void>(process_.wait(options_.grace));
        // Outside of what is caught above: an error of the worker's is none of ours with it.
        if (failure_) worker::rethrow(*failure_, listening_.file);
        return std::move(*result_);
    }

private:
    void handle(worker::FromWorker message) {
        if (auto* hello = std::get_if<worker::Hello>(&message)) {
            greet(*hello);
        } else if (auto* event = std::get_if<worker::WireEvent>(&message)) {
            report(*event);
        } else if (auto* ask = std::get_if<worker::Ask>(&message)) {
            answer(*ask);
        } else if (auto* failure = std::get_if<worker::Failure>(&message)) {
            failure_ = std::move(*failure);
        } else {
            result_ = std::get<worker::Result>(std::move(message));
        }
    }

    void greet(const worker::Hello& hello) {
        if (hello.protocol != worker::kProtocol) {
            throw_misunderstood(fmt::format("version {} speaks the protocol {}, this library {}", hello.version,
                                            hello.protocol, worker::kProtocol));
        }
        channel_.send(worker::encode(worker::FromHost(request_)), descriptors_);
        greeted_ = true;
    }

    // A worker that has ended listens no more, while its last word may still wait to be read.
    void tell(const worker::FromHost& message, std::span<const int> descriptors) {
        try {
            channel_.send(worker::encode(message), descriptors);
        } catch (const IoError&) {
            // Not swallowed: without a last word the end of file tells the same.
        }
    }

    void report(const worker::WireEvent& wire) const {
        const Event event = worker::from_wire(wire, listening_.file);
        if (const auto* warning = std::get_if<event::Warning>(&event); warning != nullptr && listening_.warnings)
            listening_.warnings->push_back(*warning);
        if (listening_.progress != nullptr) listening_.progress->report(event);
    }

    void answer(const worker::Ask& ask) {
        worker::Answer out;
        util::Fd value;
        try {
            value = std::visit([&](const auto& question) { return reply(question, out); }, ask.question);
        } catch (...) {
            out.failure = worker::to_failure(std::current_exception(), nullptr);
        }
        out.number = ask.number;
        out.has_descriptor = static_cast<bool>(value);
        const int fd = value.get();
        tell(out, std::span(&fd, value ? 1 : 0));
    }

    util::Fd reply(const worker::SecretQuestion& question, worker::Answer& out) const {
        std::optional<std::string> value = listening_.secret(question.id);
        out.found = value.has_value();
        return value ? secret_file(*value) : util::Fd();
    }

    util::Fd reply(const worker::AgentQuestion& question, worker::Answer& out) const {
        const auto agent = listening_.agents.find(question.id);
        out.found = agent != listening_.agents.end();
        if (out.found) out.text = absolute_path(agent->second);
        return {};
    }

    util::Fd reply(const worker::CredentialsQuestion& question, worker::Answer& out) const {
        const auto known = options_.credentials(question.domain, question.path);
        out.found = known.has_value();
        if (!known) return {};
        std::string text = credentials_json(*known);
        return secret_file(text);
    }

    // Until there is something to read. Passes a wish to stop on, once, and loses patience after that.
    void wait() {
        for (;;) {
            pollfd wait[] = {{.fd = channel_.fd(), .events = POLLIN, .revents = 0},
                             {.fd = deadline_ ? -1 : wake_.get(), .events = POLLIN, .revents = 0}};
            const int ready = ::poll(wait, 2, milliseconds_left());
            if (ready < 0 && errno != EINTR) throw IoError("wait for", "the worker", errno);
            if (deadline_ && steady_clock::now() >= *deadline_) {
                process_.kill();
                throw Cancelled();
            }
            if ((wait[1].revents & POLLIN) != 0) {
                if (!greeted_) {
                    // It has not been asked for anything yet.
                    process_.kill();
                    throw Cancelled();
                }
                deadline_ = steady_clock::now() + options_.grace;
                tell(worker::Cancel{}, {});
            }
            if (wait[0].revents != 0) return;
        }
    }

    int milliseconds_left() const {
        if (!deadline_) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - steady_clock::now()).count();
        return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }

    [[noreturn]] void throw_died() {
        const std::string end = process_.wait(options_.grace);
        if (deadline_) throw Cancelled();
        throw WorkerFailed(
            {.code = "worker.died",
             .message = fmt::format("the worker {} ended without a result: {}", util::quote(program_), end),
             .hint = "what it had finished is in the cache; signal 9 may be the system out of memory",
             .where = {}});
    }

    [[noreturn]] void throw_misunderstood(const std::string& problem) const {
        throw WorkerFailed(
            {.code = "worker.version",
             .message = fmt::format("the worker {} does not fit this library: {}", util::quote(program_), problem),
             .hint = "install the library and the program from one release",
             .where = {}});
    }

    const worker::Request& request_;
    std::span<const int> descriptors_;
    const WorkerOptions& options_;
    const Listening& listening_;
    std::string program_;
    util::Fd wake_;
    WorkerProcess process_;
    worker::Channel channel_;
    std::optional<worker::Result> result_;
    std::optional<worker::Failure> failure_;
    /// Set once the worker was asked to stop.
    bool greeted_ = false;
    std::optional<steady_clock::time_point> deadline_;
};

}  // namespace

worker::Result run_task(worker::Task task, const WorkerOptions& options, const Listening& listening,
                        const std::vector<std::string>& names, std::span<const int> descriptors) {
    if (listening.stop.stop_requested()) throw Cancelled();
    const worker::Request request{
        .store = absolute_path(options.store),
        .plain_http = {options.insecure_registries.begin(), options.insecure_registries.end()},
        .task = std::move(task),
        .answers = answered(options, listening),
        .descriptors = names};
    return Session(request, descriptors, options, listening).run();
}

std::string absolute_path(const std::string& path) {
    if (path.empty() || path.front() == '/') return path;
    std::error_code error;
    const std::filesystem::path current = std::filesystem::current_path(error);
    if (error) throw IoError("find", "the current directory", error.value());
    return (current / path).string();
}

}  // namespace imgbuild::client
