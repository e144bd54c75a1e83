// What a step costs, and what it could cost at least. Not checks: they print the figures of docs/performance.md.
//
//     sandbox_run "[.bench]"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"

using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;

namespace {

constexpr int kRounds = 100;

/// Prints fastest, median and slowest of `work`, in milliseconds; `prepare` is not counted.
void measure(const char* what, const std::function<void()>& prepare, const std::function<void()>& work) {
    std::vector<double> times;
    for (int i = 0; i < kRounds; ++i) {
        prepare();
        const auto begin = std::chrono::steady_clock::now();
        work();
        times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    std::sort(times.begin(), times.end());
    std::printf("%-44s fastest %5.2f  median %5.2f  slowest %5.2f ms\n", what, times.front(), times[times.size() / 2],
                times.back());
}

constexpr int kNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

/// In the child of a clone: the least that gives a command a root of its own. Ends the process.
[[noreturn]] void floor_of_a_step(const std::string& options, const std::string& at) {
    const char* place = at.c_str();
    if (mount("overlay", place, "overlay", 0, options.c_str()) == 0 && chdir(place) == 0 &&
        syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0) {
        execl("/bin/busybox", "true", nullptr);
    }
    _exit(125);
}

void run_child(int flags, const std::function<void()>& child) {
    const long pid = syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (pid == 0) child();
    int status = 0;
    REQUIRE(waitpid(static_cast<pid_t>(pid), &status, 0) == pid);
    CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace

TEST_CASE("the floor: a process, namespaces, an overlay, a program", "[.bench]") {
    const Workspace workspace;
    StepSpec step = workspace.step({"/bin/true"});
    const auto fresh = [&] { step = workspace.step({"/bin/true"}); };
    measure(
        "a process that ends at once", [] {}, [] { run_child(0, [] { _exit(0); }); });
    measure(
        "… in five namespaces of its own", [] {}, [] { run_child(kNamespaces, [] { _exit(0); }); });
    const std::string options =
        "userxattr,volatile,lowerdir=" + workspace.lower() + ",upperdir=" + step.upper + ",workdir=" + step.work;
    const std::string at = workspace.path("root");
    imgbuild::util::make_directories(at);
    measure("… and overlay, pivot_root, exec (the floor)", fresh,
            [&] { run_child(kNamespaces, [&] { floor_of_a_step(options, at); }); });
}

TEST_CASE("a whole step: what sandbox.md lists, and an orderly end", "[.bench]") {
    const Workspace workspace;
    StepSpec step = workspace.step({"/bin/true"});
    measure(
        worker_facts().ids == StepIds::shifted ? "a step, ids shifted" : "a step, ids as they are",
        [&] { step = workspace.step({"/bin/true"}); }, [&] { run(step); });
}
