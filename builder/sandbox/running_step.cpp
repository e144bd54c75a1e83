#include "builder/sandbox/running_step.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "builder/sandbox/spawn.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10U;

void set_nonblocking(int fd) {
    util::check(fcntl(fd, F_SETFL, O_NONBLOCK), "set up", "a pipe");
}

/// Passes on what is there now; closes `pipe` at its end.
void drain(util::Fd& pipe, Stream stream, OutputSink& output) {
    std::array<char, kChunk> buffer;
    while (pipe) {
        const auto size = read(pipe.get(), buffer.data(), buffer.size());
        if (size > 0) {
            output.output(stream, {buffer.data(), static_cast<std::size_t>(size)});
            // A step that prints without pause must not keep us from looking at the rest.
            if (static_cast<std::size_t>(size) == buffer.size()) return;
        } else if (size == 0) {
            pipe.reset();
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            throw IoError("read", "the step's output", errno);
        }
    }
}

pollfd readable(const util::Fd& fd) {
    return {fd.get(), POLLIN, 0};
}  // poll() ignores -1

std::string hint_for(const wire::Message& failure) {
    switch (failure.error) {
        case EPERM:
        case EACCES:
            return "something around this process forbids it: a container without the needed rights, a security module "
                   "or a "
                   "seccomp filter; 'imgbuild doctor' shows what this machine allows";
        case ENOSYS:
        case ENODEV:
        case EOPNOTSUPP:
            return "this kernel does not have it; 'imgbuild doctor' shows what this machine allows";
        case ENOSPC:
        case ENOMEM:
            return "a limit of this machine is reached: memory, /proc/sys/user/max_*_namespaces or fs.mount-max";
        default:
            return {};
    }
}

[[noreturn]] void report(const wire::Message& failure, const SandboxPlan& plan) {
    std::string hint = hint_for(failure);
    if (failure.operation < plan.operations.size()) {
        const std::string why = plan.operations[failure.operation].why;
        hint =
            hint.empty() ? fmt::format("needed because: {}", why) : fmt::format("{} (needed because: {})", hint, why);
    }
    const std::string detail(failure.detail);
    if (!detail.empty()) hint += fmt::format("; the kernel says: {}", detail.substr(0, detail.find('\n')));
    in_context("preparing the step's sandbox",
               [&] { throw IoError(failure.verb, failure.path, failure.error, std::move(hint)); });
    std::unreachable();
}

}  // namespace

RunningStep::RunningStep(const Start& start) {
    util::Pipe status = util::make_pipe();
    util::Pipe lifeline = util::make_pipe();
    util::Pipe out = util::make_pipe();
    util::Pipe err = util::make_pipe();
    const util::Fd null = util::open_path("/dev/null", O_RDWR);
    std::vector<Inherited> inherited = {{null.get(), STDIN_FILENO},
                                        {out.write.get(), STDOUT_FILENO},
                                        {err.write.get(), STDERR_FILENO},
                                        {start.plan, wire::kPlanFd},
                                        {status.write.get(), wire::kStatusFd},
                                        {lifeline.read.get(), wire::kLifelineFd},
                                        {start.user_namespace, wire::kUserNamespaceFd}};
    if (start.store >= 0) inherited.push_back({start.store, wire::kStoreFd});
    for (const util::Pipe* pipe : {&status, &out, &err}) set_nonblocking(pipe->read.get());
    starter_ = spawn(start.init, "imgbuild-init", inherited);
    status_ = std::move(status.read);
    lifeline_ = std::move(lifeline.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
}

RunningStep::~RunningStep() {
    try {
        if (starter_) await_start();
        kill();
        if (init_) reap(init_.get());
    } catch (const Error&) {
        // Nothing is left to be told; what could not be awaited ends with its lifeline, which closes now.
    }
}

StepResult RunningStep::follow(const SandboxPlan& plan, OutputSink& output, std::stop_token stop,
                               std::chrono::milliseconds grace) {
    await_start();
    if (init_) {
        const util::Fd wake(util::check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make", "an event descriptor"));
        const std::stop_callback ring(stop, [&] { eventfd_write(wake.get(), 1); });
        watch(output, wake.get(), stop, grace);
    }
    return finish(plan, stop.stop_requested());
}

/// The starter lives for less than a millisecond: it says who PID 1 is, or why there is none, and exits.
void RunningStep::await_start() {
    const ChildEnd end = reap(starter_.get());
    starter_.reset();
    while (!init_ && receive()) {
    }
    if (!init_ && !failure_) {
        throw Error({.code = "sandbox.init-died",
                     .message = fmt::format("the step's init ended before it began (status {})", end.info.si_status),
                     .hint = "it may have been killed, or the machine is out of memory; see the kernel's log",
                     .where = {}});
    }
}

/// Takes one message from the init; false if there is none now.
bool RunningStep::receive() {
    wire::Message message;
    const auto size = read(status_.get(), &message, sizeof(message));
    if (size == 0) status_.reset();
    if (size != sizeof(message)) return false;
    switch (message.kind) {
        case wire::MessageKind::started:
            // It is our child, so its number cannot have been given to anybody else.
            init_ = util::Fd(
                util::check(static_cast<int>(syscall(SYS_pidfd_open, message.value, 0)), "open", "the step's init"));
            break;
        case wire::MessageKind::failed:
            // One failure ends processes, which others may find remarkable; the first one is the reason.
            if (!failure_) failure_ = message;
            break;
        case wire::MessageKind::ended:
            ended_ = message.value;
            break;
        case wire::MessageKind::owner:
            remember_owner(message);
            break;
    }
    return true;
}

void RunningStep::remember_owner(const wire::Message& message) {
    std::string_view path(message.path);
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    GivenAway& owner = given_away_[std::string(path)];
    const auto gid = static_cast<std::uint32_t>(message.value);
    if (message.operation != GivenAway().uid) owner.uid = message.operation;
    if (gid != GivenAway().gid) owner.gid = gid;
}

/// Until PID 1 has ended, and with it every process of the step. The pipes may outlive it, as a step can hand them to
/// strangers through a socket; what is in them then is all that counts.
void RunningStep::watch(OutputSink& output, int wake, const std::stop_token& stop, std::chrono::milliseconds grace) {
    bool running = true;
    while (running) {
        pollfd watched[] = {
            readable(init_), readable(out_), readable(err_), readable(status_), {deadline_ ? -1 : wake, POLLIN, 0}};
        if (poll(watched, std::size(watched), time_left()) < 0 && errno != EINTR)
            throw IoError("watch", "the step", errno);
        running = watched[0].revents == 0;
        if (stop.stop_requested() && !deadline_) ask_to_end(grace);
        while (status_ && receive()) {
        }
        if (watched[1].revents != 0) drain(out_, Stream::out, output);
        if (watched[2].revents != 0) drain(err_, Stream::err, output);
    }
    for (std::size_t left = std::size_t{4} << 20U; left > 0; left -= kChunk) {
        drain(out_, Stream::out, output);
        drain(err_, Stream::err, output);
    }
}

void RunningStep::ask_to_end(std::chrono::milliseconds grace) {
    deadline_ = Clock::now() + grace;
    const char request = 'T';
    // If PID 1 is gone already, there is nobody left to ask.
    if (grace.count() > 0) [[maybe_unused]]
        const auto written = write(lifeline_.get(), &request, 1);
}

int RunningStep::time_left() {
    if (!deadline_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now());
    if (left.count() <= 0) {
        kill();
        return -1;
    }
    return static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
}

void RunningStep::kill() noexcept {
    // PID 1 takes everything with it. It may have ended already.
    if (init_) syscall(SYS_pidfd_send_signal, init_.get(), SIGKILL, nullptr, 0);
}

StepResult RunningStep::finish(const SandboxPlan& plan, bool stopped) {
    ChildEnd end{};
    if (init_) end = reap(std::exchange(init_, util::Fd()).get());
    if (stopped) throw Cancelled();
    if (failure_) report(*failure_, plan);
    if (!ended_) {
        throw Error({.code = "sandbox.init-died",
                     .message = "the step's init was killed",
                     .hint = "the machine may be out of memory; see the kernel's log",
                     .where = {}});
    }
    const auto time = [](const timeval& value) {
        return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
    };
    StepResult result;
    result.signal = WIFSIGNALED(*ended_) ? WTERMSIG(*ended_) : 0;
    result.exit_code = result.signal != 0 ? 128 + result.signal : WEXITSTATUS(*ended_);
    result.peak_rss = static_cast<std::uint64_t>(end.usage.ru_maxrss) * 1024;
    result.user_time = time(end.usage.ru_utime);
    result.system_time = time(end.usage.ru_stime);
    result.given_away = std::move(given_away_);
    return result;
}

}  // namespace imgbuild::sandbox
