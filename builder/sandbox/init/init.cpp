// The step init: a static program without threads, memory allocation or exceptions, which the worker starts for each
// step and which carries out a plan. See operations.hpp for what there is to do and by which of the three processes,
// wire.hpp for the descriptors it begins with.
//
// Order is part of the meaning. It is the planner's (plan.cpp), with these reasons:
//   limits and scores      need capabilities in the worker's user namespace, so they precede entering the build's
//   shifted ids            the same: only who owns the store's ids may make idmapped mounts of it, and mount an overlay
//                          whose files belong to the step's root
//   user namespace         precedes all others, so that it owns them and the step's root rules in them
//   PID 1                  precedes the mounts, since a proc shows the pid namespace of whoever mounts it
//   overlay                before the scratch, which covers its work directory
//   kernel paths           proc before its masks, dev before what is in it
//   requested mounts       last, and before pivot_root, while this machine's paths can still be named
//   seccomp, capabilities, user: each takes away what its predecessors needed
//
// This file and its neighbours are compiled without sanitizers, whatever the rest is compiled with.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "builder/sandbox/init/command.hpp"
#include "builder/sandbox/init/mounts.hpp"
#include "builder/sandbox/init/notify.hpp"
#include "builder/sandbox/init/state.hpp"

namespace imgbuild::sandbox::init {
namespace {

void carry_out(State& state, const op::SetLimit<Viewed>& operation) {
    const rlimit limit{operation.soft, operation.hard};
    if (operation.kind >= op::kResource) {
        char name[32];
        std::snprintf(name, sizeof(name), "resource %u", operation.kind - op::kResource);
        const auto resource = static_cast<__rlimit_resource>(operation.kind - op::kResource);
        check(state, setrlimit(resource, &limit), "set limit of", name);
        return;
    }
    const auto resource = operation.kind == op::kOpenFiles ? RLIMIT_NOFILE : RLIMIT_CORE;
    check(state, setrlimit(resource, &limit), "set limit of",
          operation.kind == op::kOpenFiles ? "open files" : "core files");
}

void carry_out(State& state, const op::SetOomScore<Viewed>& operation) {
    const char* path = "/proc/self/oom_score_adj";
    char text[16];
    const int size = std::snprintf(text, sizeof(text), "%u", operation.value);
    const int file = check(state, open(path, O_WRONLY | O_CLOEXEC), "open", path);
    check(state, write(file, text, static_cast<std::size_t>(size)), "write", path);
    close(file);
}

void carry_out(State& state, const op::ReceiveSecrets<Viewed>& operation) {
    std::uint64_t end = operation.offset;
    operation.sizes.each([&](std::uint32_t size) { end += size; });
    if (operation.offset > state.received_size || end > state.received_size) {
        errno = EPROTO;
        fail(state, "read", "the plan's secrets");
    }
    state.secrets = state.received + operation.offset;
    state.secret_sizes = operation.sizes;
}

void carry_out(State& state, const op::NewKeyring<Viewed>&) {
    const long keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
    // Without keyrings in the kernel, or where a filter around the worker shuts them off, there is nothing to leave.
    if (keyring < 0 && errno != ENOSYS && errno != EPERM) fail(state, "make", "a session keyring");
}

void carry_out(State& state, const op::GiveOutput<Viewed>& operation) {
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        struct stat status {};
        check(state, fstat(fd, &status), "stat", "the output pipe");
        if (!S_ISFIFO(status.st_mode)) continue;
        check(state, fchown(fd, operation.uid, operation.gid), "change the owner of", "the output pipe");
    }
}

// Another fsuid than 0 takes the capabilities over files away, which the overlay's maker needs: it is in his name that
// overlayfs works on its directories.
void carry_out(State& state, const op::EnterStore<Viewed>& operation) {
    check(state, fchdir(wire::kStoreFd), "enter", "the store");
    setfsgid(operation.gid);
    setfsuid(operation.uid);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    check(state, syscall(SYS_capget, &header, data), "ask for", "capabilities");
    for (auto& word : data) word.effective = word.permitted;
    check(state, syscall(SYS_capset, &header, data), "set", "capabilities");
}

void carry_out(State& state, const op::EnterUserNamespace<Viewed>&) {
    check(state, setns(wire::kUserNamespaceFd, CLONE_NEWUSER), "enter", "the build's user namespace");
    close(wire::kUserNamespaceFd);
    check(state, setresgid(0, 0, 0), "set", "group id");
    check(state, setresuid(0, 0, 0), "set", "user id");
}

void carry_out(State& state, const op::NewNamespaces<Viewed>& operation) {
    constexpr struct {
        std::uint32_t bit;
        int flag;
    } kFlags[] = {{op::kMountNs, CLONE_NEWNS},      {op::kIpcNs, CLONE_NEWIPC},     {op::kUtsNs, CLONE_NEWUTS},
                  {op::kCgroupNs, CLONE_NEWCGROUP}, {op::kNetworkNs, CLONE_NEWNET}, {op::kPidNs, CLONE_NEWPID}};
    int flags = 0;
    for (const auto& [bit, flag] : kFlags) {
        if ((operation.namespaces & bit) != 0) flags |= flag;
    }
    check(state, unshare(flags), "make", "namespaces for the step");
}

// The new process becomes a child of the worker, not of this one: so the worker learns how it ended, with the resources
// of the whole step, and no third process has to stay.
void carry_out(State& state, const op::StartInit<Viewed>&) {
    const long pid = check(state, syscall(SYS_clone, CLONE_PARENT, 0, 0, 0, 0), "start", "the step's init");
    if (pid == 0) return;
    wire::Message message;
    message.kind = wire::MessageKind::started;
    message.value = static_cast<std::int32_t>(pid);
    send(message);
    _exit(0);
}

void carry_out(State& state, const op::SetHostname<Viewed>& operation) {
    check(state, sethostname(operation.name.data, operation.name.size), "set", "host name");
}

void carry_out(State& state, const op::RaiseLoopback<Viewed>&) {
    const int socket_fd = check(state, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make", "a socket");
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(state, ioctl(socket_fd, SIOCSIFFLAGS, &request), "bring up", "the loopback interface");
    close(socket_fd);
}

void carry_out(State& state, const op::StartCommand<Viewed>&) {
    make_listener_sockets(state);
    const int pid = check(state, fork(), "start", "the command's process");
    if (pid != 0) supervise(state, pid);
    prepare_command(state);
}

/// The plan as it was received; it stays mapped until exec.
wire::Reader receive_plan(State& state) {
    struct stat status {};
    check(state, fstat(wire::kPlanFd, &status), "stat", "the plan");
    const auto size = static_cast<std::size_t>(status.st_size);
    void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, wire::kPlanFd, 0);
    if (bytes == MAP_FAILED) fail(state, "map", "the plan");
    close(wire::kPlanFd);
    state.received = static_cast<const char*>(bytes);
    state.received_size = size;
    return {state.received, size};
}

template <class... Operations>
struct Run {
    static bool one(State& state, std::uint32_t code, wire::Reader fields) {
        return wire::Dispatch<Operations...>::call(
            code, fields, [](wire::Reader& from, auto& into) { wire::load(from, into); },
            [&](const auto& operation) { carry_out(state, operation); });
    }
};

/// Does not return: the last operation becomes the command.
[[noreturn]] void run_plan(State& state) {
    wire::Reader plan = receive_plan(state);
    bool good = plan.number<std::uint32_t>() == wire::kMagic;
    good = plan.number<std::uint32_t>() == wire::kVersion && good;
    const auto count = plan.number<std::uint32_t>();
    for (; good && state.operation < count; ++state.operation) {
        const auto code = plan.number<std::uint32_t>();
        const auto size = plan.number<std::uint32_t>();
        good = op::All<Run, Viewed>::one(state, code, plan.part(size)) && plan.ok();
    }
    errno = EPROTO;
    fail(state, "read", "the plan");
}

}  // namespace
}  // namespace imgbuild::sandbox::init

int main() {
    imgbuild::sandbox::init::State state;
    imgbuild::sandbox::init::run_plan(state);
}
