// clone(CLONE_VM | CLONE_VFORK) lends our memory to the child and stops this thread until the child has executed its
// program: no page table is copied (27 ms per 500 MB by fork, seen). The price: the child runs in our memory. It has a
// stack of its own, all signals are blocked so that no handler of ours runs in it, and it makes nothing but system
// calls.
#include "builder/sandbox/spawn.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "util/assert.hpp"
#include "util/defer.hpp"

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kStackSize = std::size_t{64} << 10U;
/// Sources are moved above all targets first, so that placing one never overwrites another.
constexpr int kAbove = 64;

struct Request {
    int program;
    const char* name;
    const Inherited* inherited;
    std::size_t count;
    /// Written by the child: why it failed.
    int error = 0;
};

constexpr std::size_t kMaxInherited = 16;

int move_up(int fd) {
    return static_cast<int>(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, kAbove));
}

bool place_descriptors(Request& request) {
    int moved[kMaxInherited];
    request.program = move_up(request.program);
    if (request.program < 0) return false;
    for (std::size_t i = 0; i < request.count; ++i) {
        moved[i] = move_up(request.inherited[i].fd);
        if (moved[i] < 0) return false;
    }
    unsigned first_free = 0;
    for (std::size_t i = 0; i < request.count; ++i) {
        const int number = request.inherited[i].number;
        if (syscall(SYS_dup3, moved[i], number, 0) < 0) return false;
        if (static_cast<unsigned>(number) >= first_free) first_free = static_cast<unsigned>(number) + 1;
    }
    // Whatever the host program has left open without O_CLOEXEC.
    return syscall(SYS_close_range, first_free, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

int child(void* argument) {
    Request& request = *static_cast<Request*>(argument);
    if (place_descriptors(request)) {
        const char* const args[] = {request.name, nullptr};
        const char* const env[] = {nullptr};
        syscall(SYS_execveat, request.program, "", args, env, AT_EMPTY_PATH);
    }
    request.error = errno;
    _exit(125);
}

}  // namespace

util::Fd spawn(int program, const char* name, std::span<const Inherited> inherited) {
    IMGBUILD_ASSERT(inherited.size() <= kMaxInherited);
    Request request{program, name, inherited.data(), inherited.size()};
    void* stack = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) throw IoError("allocate a stack for", name, errno);
    const util::Defer free_stack([&] { munmap(stack, kStackSize); });

    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    const int pid = clone(child, static_cast<char*>(stack) + kStackSize, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                          &request, &pidfd);
    const int clone_error = errno;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);

    if (pid < 0) throw IoError("start", name, clone_error);
    util::Fd process(pidfd);
    if (request.error != 0) {
        reap(process.get());
        throw IoError("execute", name, request.error);
    }
    return process;
}

ChildEnd reap(int pidfd) {
    ChildEnd end{};
    // glibc's waitid() does not pass on the usage that the kernel's has.
    while (syscall(SYS_waitid, P_PIDFD, pidfd, &end.info, WEXITED | __WALL, &end.usage) < 0) {
        if (errno != EINTR) throw IoError("wait for", "a child", errno);
    }
    return end;
}

}  // namespace imgbuild::sandbox
