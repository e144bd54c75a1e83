#include "builder/sandbox/worker.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "builder/sandbox/advice.hpp"
#include "builder/sandbox/plain_user.hpp"
#include "builder/sandbox/spawn.hpp"
#include "util/defer.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxMap = std::size_t{64} << 10U;

/// Every id that this process knows, mapped to itself. The plain "0 0 4294967295" would be refused where we run in a
/// user namespace already whose map has holes.
std::string identity_map(const std::string& path) {
    std::string map;
    const std::string own = util::read_file(path, kMaxMap);
    for (const std::string_view line : util::split(own, '\n')) {
        std::string_view words[3];
        std::size_t count = 0;
        for (const std::string_view word : util::split(line, ' ')) {
            if (!word.empty() && count < 3) words[count++] = word;
        }
        if (count == 3) map += fmt::format("{} {} {}\n", words[0], words[0], words[2]);
    }
    return map;
}

void write_map(const std::string& path, const std::string& map) {
    const util::Fd file = util::open_path(path, O_WRONLY);
    util::write_all(file.get(), map, path);
}

/// In a copy of this process, which may have had other threads: nothing but system calls. It lives until its pipe ends,
/// so that it goes with us even if we are killed. It keeps no other descriptor: two of these at the same time would
/// otherwise hold each other's pipes open, and wait for ever.
[[noreturn]] void hold_namespace(int until) {
    if (dup2(until, 0) == 0 && syscall(SYS_close_range, 1, ~0U, 0) == 0) {
        char byte = 0;
        while (read(0, &byte, 1) < 0 && errno == EINTR) {
        }
    }
    _exit(0);
}

}  // namespace

void enter_worker() {
    UserFacts user;
    const bool is_plain = geteuid() != 0;
    if (is_plain) enter_user_namespace(user = ask_user());
    if (unshare(CLONE_NEWNS) != 0) {
        const int reason = errno;
        if (!is_plain) user = ask_user();
        // AppArmor lets a plain user make a user namespace, but gives him no capabilities in it.
        user.namespace_error = reason;
        throw_lack(no_user_namespaces(user));
    }
    util::check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private", "/");
}

BuildNamespace BuildNamespace::create(StepIds ids) {
    util::Pipe life = util::make_pipe();
    int pidfd = -1;
    const long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
    if (pid == 0) hold_namespace(life.read.get());
    util::check(static_cast<int>(pid), "make", "a user namespace");

    const util::Fd process(pidfd);
    const util::Defer end([&] {
        life.write.reset();
        reap(process.get());
    });
    const std::string base = fmt::format("/proc/{}/", pid);
    util::Fd user = util::open_path(base + "ns/user", O_RDONLY);
    for (const char* name : {"uid_map", "gid_map"}) {
        const std::string map = ids == StepIds::shifted ? fmt::format("0 {} {}\n", kFirstShiftedId, kShiftedIds)
                                                        : identity_map(std::string("/proc/self/") + name);
        write_map(base + name, map);
    }
    return BuildNamespace(std::move(user));
}

util::Fd clone_idmapped(const std::string& store, const BuildNamespace& ids) {
    const long tree = syscall(SYS_open_tree, AT_FDCWD, store.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    util::Fd mount(util::check(static_cast<int>(tree), "bind", store));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(ids.fd());
    const long done = syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes));
    util::check(static_cast<int>(done), "shift the ids of", store);
    return mount;
}

}  // namespace imgbuild::sandbox
