// What a step finds at its mounts, in real steps.
#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <barrier>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"
#include "util/fd.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;
using Catch::Contains;

namespace {

util::Fd memory_file(std::string_view text) {
    util::Fd file(util::check(memfd_create("test", MFD_CLOEXEC), "make", "a memory file"));
    util::write_all(file.get(), text, "a memory file");
    return file;
}

TreeMount tree_mount(const Workspace& workspace, const std::string& target, const std::string& source = "") {
    util::make_directories(workspace.path("scratch" + target + "/upper"));
    util::make_directories(workspace.path("scratch" + target + "/work"));
    return {.lowers = {workspace.path("tree2"), workspace.path("tree1")},
            .upper = workspace.path("scratch" + target + "/upper"),
            .work = workspace.path("scratch" + target + "/work"),
            .source = source,
            .target = target};
}

void make_trees(const Workspace& workspace) {
    write_file(workspace.path("tree1") + "/d/one", "1\n");
    write_file(workspace.path("tree1") + "/d/both", "old\n");
    write_file(workspace.path("tree2") + "/d/both", "new\n");
}

}  // namespace

TEST_CASE("a stack of trees, a part of it and a file of it are seen, read-only") {
    const Workspace workspace;
    make_trees(workspace);
    for (const char* name : {"/mnt/a", "/mnt/b"}) util::make_directories(workspace.lower() + name);
    write_file(workspace.lower() + "/mnt/c", "");
    StepSpec step = workspace.shell("ls /mnt/a /mnt/b; cat /mnt/b/one /mnt/c; touch /mnt/b/x");
    TreeMount file = tree_mount(workspace, "/mnt/c", "d/both");
    file.kind = NodeKind::file;
    step.mounts = {tree_mount(workspace, "/mnt/a"), tree_mount(workspace, "/mnt/b", "d"), file};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "/mnt/a:\nd\n\n/mnt/b:\nboth\none\n1\nnew\n");
    CHECK_THAT(outcome.err, Contains("Read-only file system"));
}

TEST_CASE("what is written to a stack of trees is nowhere in them") {
    const Workspace workspace;
    make_trees(workspace);
    util::make_directories(workspace.lower() + "/mnt/a");
    StepSpec step = workspace.shell("echo x > /mnt/a/d/one; rm /mnt/a/d/both; ls /mnt/a/d; cat /mnt/a/d/one");
    TreeMount mount = tree_mount(workspace, "/mnt/a");
    mount.access = Access::read_write;
    step.mounts = {mount};
    CHECK(run(step).out == "one\nx\n");
    CHECK(util::read_file(workspace.path("tree1") + "/d/one", 16) == "1\n");
    CHECK(util::read_file(workspace.path("tree2") + "/d/both", 16) == "new\n");
    CHECK(std::filesystem::is_empty(workspace.upper()));
}

TEST_CASE("mounts lie inside other mounts, of whatever kind") {
    const Workspace workspace;
    make_trees(workspace);
    util::make_directories(workspace.path("cache"));
    util::make_directories(workspace.lower() + "/mnt");
    const util::Fd secret = memory_file("s\n");
    StepSpec step = workspace.shell("cat /mnt/d/one /mnt/x/y/key /mnt/t/c/kept; touch /mnt/t/c/made; touch /mnt/z");
    write_file(workspace.path("cache") + "/kept", "k\n");
    step.secrets = {secret.get()};
    step.mounts = {tree_mount(workspace, "/mnt"), TmpfsMount{.target = "/mnt/t"},
                   BindMount{.source = workspace.path("cache"), .target = "/mnt/t/c", .access = Access::read_write},
                   SecretMount{.secret = 0, .target = "/mnt/x/y/key"}};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "1\ns\nk\n");
    CHECK_THAT(outcome.err, Contains("/mnt/z: Read-only file system"));
    CHECK(std::filesystem::exists(workspace.path("cache") + "/made"));
}

TEST_CASE("steps that share a directory make the same mount point in it at once") {
    worker_facts();
    const Workspace shared;
    util::make_directories(shared.path("cache"));
    for (int round = 0; round < 25; ++round) {
        const std::string place = "/mnt/" + std::to_string(round) + "/x/y";
        std::array<Outcome, 4> outcomes;
        std::barrier start(std::ssize(outcomes));
        {
            std::vector<std::jthread> threads;
            for (Outcome& outcome : outcomes) {
                threads.emplace_back([&shared, &place, &start, &outcome] {
                    const Workspace workspace;
                    util::make_directories(workspace.lower() + "/mnt");
                    StepSpec step = workspace.shell("echo done");
                    step.mounts = {
                        BindMount{.source = shared.path("cache"), .target = "/mnt", .access = Access::read_write},
                        TmpfsMount{.target = place}};
                    start.arrive_and_wait();
                    try {
                        outcome = run(step);
                    } catch (const Error& error) {
                        outcome.out = error.what();
                    }
                });
            }
        }
        for (const Outcome& outcome : outcomes) CHECK(outcome.out == "done\n");
    }
}

TEST_CASE("secrets are files with their owner and mode, and variables; the plan does not have them") {
    const Workspace workspace;
    write_file(workspace.lower() + "/run/key", "");
    const util::Fd first = memory_file("first");
    const util::Fd second = memory_file("");
    const util::Fd third = memory_file("two\nlines");
    StepSpec step =
        workspace.shell("stat -c '%a %u %g %s' /run/key; cat /run/key; echo; echo \"[$A][$B]\"; echo > /run/key");
    step.env.push_back("B=of the image");
    step.secrets = {first.get(), second.get(), third.get()};
    step.mounts = {SecretMount{.secret = 0, .target = "/run/key", .mode = 0440, .uid = 3, .gid = 4}};
    step.secret_env = {{.name = "A", .secret = 1}, {.name = "B", .secret = 2}};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "440 3 4 5\nfirst\n[][two\nlines]\n");
    CHECK_THAT(outcome.err, Contains("Read-only file system"));
}

TEST_CASE("a secret with a NUL is no variable") {
    const Workspace workspace;
    const util::Fd secret = memory_file(std::string_view("a\0b", 3));
    StepSpec step = workspace.shell("true");
    step.secrets = {secret.get()};
    step.secret_env = {{.name = "A", .secret = 0}};
    CHECK_THROWS_WITH(run(step), Contains("set the variable 'A'"));
}

TEST_CASE("a script is executable, read-only, and gone with the step") {
    const Workspace workspace;
    StepSpec step = workspace.shell("/dev/pipes/EOF; stat -c %a /dev/pipes/EOF; echo > /dev/pipes/EOF");
    step.scripts = {{.name = "EOF", .text = "#!/bin/sh\necho script\n"}};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "script\n755\n");
    CHECK_THAT(outcome.err, Contains("Read-only file system"));
    CHECK(std::filesystem::is_empty(workspace.upper()));
}

TEST_CASE("limits are set, and /dev/shm is as large as asked") {
    const Workspace workspace;
    StepSpec step = workspace.shell("ulimit -n; ulimit -t; stat -f -c '%b %S' /dev/shm");
    step.limits.more = {{.name = "nofile", .soft = 100, .hard = 200}, {.name = "cpu", .soft = 50, .hard = 60}};
    step.limits.shared_memory = 1U << 20U;
    CHECK(run(step).out == "100\n50\n256 4096\n");
}

TEST_CASE("a tmpfs is everybody's, and may take the place of /dev/shm") {
    const Workspace workspace;
    util::make_directories(workspace.lower() + "/mnt/t");
    StepSpec step = workspace.shell("stat -c %a /mnt/t; grep -c ' /dev/shm ' /proc/mounts; stat -f -c %b /dev/shm");
    step.mounts = {TmpfsMount{.target = "/mnt/t"}, TmpfsMount{.target = "/dev/shm", .size = 1U << 20U}};
    CHECK(run(step).out == "1777\n1\n256\n");
}

TEST_CASE("an insecure step is in the worker's user namespace, and others are not") {
    const Workspace workspace;
    StepSpec step = workspace.shell(
        "readlink /proc/self/ns/user; grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted");
    step.confinement = Confinement::insecure;
    const std::string own = std::filesystem::read_symlink("/proc/self/ns/user");
    CHECK(run(step).out == own + "\nSeccomp:\t0\nmounted\n");
    step = workspace.shell("readlink /proc/self/ns/user");
    CHECK(run(step).out != own + "\n");
}
