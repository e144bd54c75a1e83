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
    if (geteuid() != 0) {
        throw Error({.code = "machine.not-root",
                     .message = "building needs root for now",
                     .hint = "run it as root; building as a plain user is an issue of its own",
                     .where = {}});
    }
    util::check(unshare(CLONE_NEWNS), "make", "a mount namespace");
    util::check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private", "/");
}

BuildNamespace BuildNamespace::create() {
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
    write_map(base + "uid_map", identity_map("/proc/self/uid_map"));
    write_map(base + "gid_map", identity_map("/proc/self/gid_map"));
    return BuildNamespace(std::move(user));
}

}  // namespace imgbuild::sandbox
