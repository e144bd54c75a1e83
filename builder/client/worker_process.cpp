// The child of clone(CLONE_VM | CLONE_VFORK) runs in our memory while this thread waits, so that no page table is
// copied. It has a stack of its own, all signals are blocked until their handlers are gone, and it makes nothing but
// system calls: no function of a sanitizer or of the C library that would take its memory for another process's.
//
// The kernel makes every program that was executed an ordinary child, so the host gets its SIGCHLD, and may reap it by
// a wait(-1) or by ignoring the signal. Nothing depends on being first: a pidfd means our worker however it ended.
#include "builder/client/worker_process.hpp"

#include <imgbuild/worker.hpp>

#include "util/defer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <limits>
#include <vector>

#ifdef __GLIBC__
// The thread sanitizer replaces clone() by a fork's book-keeping, which is wrong for a child in our memory.
extern "C" int __clone(int (*)(void*), void*, int, void*, ...);  // NOLINT(bugprone-reserved-identifier)
#define IMGBUILD_CLONE __clone
#else
#define IMGBUILD_CLONE clone
#endif

namespace imgbuild::client {
namespace {

constexpr std::size_t kStackSize = std::size_t{64} << 10;
constexpr std::size_t kMessages = std::size_t{16} << 10;
/// Where the worker finds its socket.
constexpr int kSocket = 3;
constexpr int kSignals = 64;

struct Start {
    const char* program;
    char* const* arguments;
    char* const* environment;
    /// For 0 and 1, 2, and kSocket. Above them all, so that placing one overwrites none.
    int nothing;
    int messages;
    int socket;
    /// Written by the child: why it failed.
    int error = 0;
};

// As the kernel has it: its handler, flags, restorer, mask; all zero is the default action.
using KernelAction = std::array<unsigned long, 4>;

__attribute__((no_sanitize("thread", "address", "undefined"))) int child(void* argument) {
    Start& start = *static_cast<Start*>(argument);
    const KernelAction standard{};
    for (int signal = 1; signal <= kSignals; ++signal) {
        syscall(SYS_rt_sigaction, signal, &standard, nullptr, 8UL);
    }
    const bool placed = syscall(SYS_dup3, start.nothing, 0, 0) >= 0 && syscall(SYS_dup3, start.nothing, 1, 0) >= 0 &&
                        syscall(SYS_dup3, start.messages, 2, 0) >= 0 &&
                        syscall(SYS_dup3, start.socket, kSocket, 0) >= 0 &&
                        syscall(SYS_close_range, kSocket + 1, ~0U, 0) == 0;
    if (placed) {
        // A terminal's Ctrl-C is the host's to understand.
        syscall(SYS_setsid);
        syscall(SYS_umask, 022);
        syscall(SYS_chdir, "/");
        const unsigned long none = 0;
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, 8UL);
        syscall(SYS_execve, start.program, start.arguments, start.environment);
    }
    start.error = errno;
    syscall(SYS_exit, 127);
    return 0;
}

util::Fd above_standard(util::Fd fd) {
    if (fd.get() > kSocket) return fd;
    return util::Fd(util::check(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kSocket + 1), "duplicate", "a descriptor"));
}

// Its size cannot grow, so whatever the worker writes beyond is lost instead of filling memory.
util::Fd make_message_file() {
    util::Fd file(util::check(::memfd_create("imgbuild-worker-messages", MFD_CLOEXEC | MFD_ALLOW_SEALING), "make",
                              "a memory file"));
    util::check(::ftruncate(file.get(), kMessages), "size", "a memory file");
    util::check(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), "seal", "a memory file");
    return above_standard(std::move(file));
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    out.reserve(words.size() + 1);
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
}

std::vector<std::string> words_of(const std::optional<std::map<std::string, std::string>>& environment) {
    std::vector<std::string> out;
    if (environment) {
        for (const auto& [name, value] : *environment) out.push_back(fmt::format("{}={}", name, value));
    } else {
        for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.emplace_back(*entry);
    }
    return out;
}

// Starts the child and returns its pidfd.
util::Fd run_child(Start& start) {
    void* stack = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) throw IoError("allocate a stack for", start.program, errno);
    const util::Defer free_stack([&] { ::munmap(stack, kStackSize); });
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    const int pid = IMGBUILD_CLONE(child, static_cast<char*>(stack) + kStackSize, CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
                                   &start, &pidfd);
    const int error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) throw IoError("start", start.program, error);
    return util::Fd(pidfd);
}

// Nothing if the host was first.
std::optional<siginfo_t> reap(int process) {
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(process), &info, WEXITED | __WALL) < 0) {
        if (errno != EINTR) return std::nullopt;
    }
    return info;
}

std::string tell(const std::optional<siginfo_t>& info) {
    if (!info) return "how is not known, since this program ignores SIGCHLD or waits for every child";
    return fmt::format("{} {}", info->si_code == CLD_EXITED ? "exit code" : "signal", info->si_status);
}

}  // namespace

WorkerProcess::WorkerProcess(const std::string& program,
                             const std::optional<std::map<std::string, std::string>>& environment)
    : messages_(make_message_file()) {
    int ends[2];
    util::check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "make", "a socket pair");
    socket_ = util::Fd(ends[0]);
    const util::Fd theirs = above_standard(util::Fd(ends[1]));
    const util::Fd nothing = above_standard(util::open_path("/dev/null", O_RDWR));
    std::vector<std::string> arguments = {program, "worker"};
    std::vector<std::string> variables = words_of(environment);
    const std::vector<char*> argument_pointers = pointers(arguments);
    const std::vector<char*> variable_pointers = pointers(variables);
    Start start{.program = program.c_str(),
                .arguments = argument_pointers.data(),
                .environment = variable_pointers.data(),
                .nothing = nothing.get(),
                .messages = messages_.get(),
                .socket = theirs.get()};
    process_ = run_child(start);
    if (start.error == 0) return;
    reap(process_.get());
    process_.reset();
    throw WorkerFailed(
        {.code = "worker.not-started",
         .message = fmt::format("start the worker {}: {}", util::quote(program),
                                IoError("execute", "", start.error).message()),
         .hint = "install imgbuild, or name its program by WorkerOptions::program or the variable IMGBUILD_WORKER",
         .where = {}});
}

WorkerProcess::~WorkerProcess() {
    if (!process_) return;
    kill();
    reap(process_.get());
}

void WorkerProcess::kill() noexcept {
    if (process_) syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0U);
}

std::string WorkerProcess::wait(std::chrono::milliseconds patience) {
    constexpr std::int64_t kMost = std::numeric_limits<int>::max();
    pollfd ended{.fd = process_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ended, 1, static_cast<int>(std::clamp<std::int64_t>(patience.count(), 0, kMost))) <= 0) kill();
    std::string end = tell(reap(process_.get()));
    process_.reset();
    const off_t written = ::lseek(messages_.get(), 0, SEEK_CUR);
    if (written <= 0 || ::lseek(messages_.get(), 0, SEEK_SET) != 0) return end;
    std::string text = util::read_all(messages_.get(), kMessages, "the worker's messages");
    text.resize(std::min(text.size(), static_cast<std::size_t>(written)));
    const std::string_view said = util::trim(text);
    const std::size_t last = said.rfind('\n');
    return fmt::format("{}, after saying {}", end,
                       util::quote(last == std::string_view::npos ? said : said.substr(last + 1)));
}

}  // namespace imgbuild::client
