// How a step runs and ends: exit codes, output, surroundings of the command.
#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <thread>
#include <vector>

#include "builder/sandbox/worker.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;
using Catch::Contains;

TEST_CASE("a step's exit code is the command's") {
    const Workspace workspace;
    for (const int code : {0, 1, 42, 255}) {
        const Outcome outcome = run(workspace.shell("exit " + std::to_string(code)));
        CHECK(outcome.result.exit_code == code);
        CHECK(outcome.result.signal == 0);
    }
}

TEST_CASE("a signal that ends the command is told, and its exit code is 128 more") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell("kill -SEGV $$"));
    CHECK(outcome.result.signal == SIGSEGV);
    CHECK(outcome.result.exit_code == 128 + SIGSEGV);
}

TEST_CASE("output arrives whole, in order, and on its own stream") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell("for i in 1 2 3; do echo out$i; echo err$i >&2; done"));
    CHECK(outcome.out == "out1\nout2\nout3\n");
    CHECK(outcome.err == "err1\nerr2\nerr3\n");
}

TEST_CASE("a step that prints 100 MB loses nothing") {
    class Counter final : public OutputSink {
    public:
        void output(Stream, std::string_view bytes) override { size += bytes.size(); }
        std::size_t size = 0;
    };
    const Workspace workspace;
    Counter counter;
    const auto step = workspace.step({"dd", "if=/dev/zero", "bs=1M", "count=100", "status=none"});
    const StepResult result = shared_sandbox().run(step, counter, {});
    CHECK(result.succeeded());
    CHECK(counter.size == std::size_t{100} << 20U);
}

TEST_CASE("a command finds its environment and nothing of the worker's") {
    const Workspace workspace;
    StepSpec step = workspace.step({"env"});
    step.env = {"PATH=/bin", "GREETING=hello world", "EMPTY="};
    CHECK(run(step).out == "PATH=/bin\nGREETING=hello world\nEMPTY=\n");
}

TEST_CASE("a command finds its directory, umask and host name") {
    const Workspace workspace;
    StepSpec step = workspace.shell("pwd; umask; hostname");
    step.workdir = "/usr/bin";
    step.hostname = "somewhere";
    CHECK(run(step).out == "/usr/bin\n0022\nsomewhere\n");
}

TEST_CASE("a command runs as its user, with its groups and without capabilities") {
    const Workspace workspace;
    StepSpec step =
        workspace.shell("id -u; id -g; id -G; grep -E 'Cap(Eff|Prm|Inh|Amb)' /proc/self/status; echo > /dev/stdout");
    step.uid = 1000;
    step.gid = 1001;
    step.groups = {27, 44};
    const Outcome outcome = run(step);
    CHECK(outcome.result.succeeded());
    CHECK_THAT(outcome.out, Contains("1000\n1001\n1001 27 44\n"));
    CHECK_THAT(outcome.out, Contains("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
                                     "CapAmb:\t0000000000000000\n"));
}

TEST_CASE("root of a step has the default capabilities and no more") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status"));
    CHECK(outcome.out ==
          "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
          "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
}

TEST_CASE("where ids are shifted, root of a step is nobody outside") {
    if (worker_facts().ids != StepIds::shifted) return;
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell("cat /proc/self/uid_map /proc/self/gid_map"));
    std::istringstream numbers(outcome.out);
    for (int map = 0; map < 2; ++map) {
        std::uint64_t inside = 1;
        std::uint64_t outside = 0;
        std::uint64_t count = 0;
        numbers >> inside >> outside >> count;
        CHECK(inside == 0);
        CHECK(outside == kFirstShiftedId);
        CHECK(count == kShiftedIds);
    }
}

TEST_CASE("a directory of the store that is mounted has the owners that it has there") {
    const Workspace workspace;
    write_file(workspace.path("shared/file"), "text");
    REQUIRE(::chown(workspace.path("shared/file").c_str(), 12, 34) == 0);
    util::make_directories(workspace.lower() + "/mnt");
    StepSpec step = workspace.shell("stat -c '%u %g' /mnt /mnt/file && echo more > /mnt/new && chown 56:78 /mnt/new");
    step.mounts = {BindMount{.source = workspace.path("shared"), .target = "/mnt", .access = Access::read_write}};
    const Outcome outcome = run(step);
    CHECK(outcome.out == "0 0\n12 34\n");
    struct stat status {};
    REQUIRE(::stat(workspace.path("shared/new").c_str(), &status) == 0);
    CHECK(status.st_uid == 56);
    CHECK(status.st_gid == 78);
}

TEST_CASE("a command has no descriptors but its three streams") {
    worker_facts();
    const Workspace workspace;
    // One that the host program forgot to mark close-on-exec.
    const util::Fd stray(open("/etc/passwd", O_RDONLY));
    const Outcome outcome = run(workspace.shell("ls /proc/self/fd; readlink /proc/self/fd/0"));
    // The fourth is ls' own, for the directory.
    CHECK(outcome.out == "0\n1\n2\n3\n/dev/null\n");
}

TEST_CASE("a command finds no signal blocked or ignored") {
    worker_facts();
    signal(SIGPIPE, SIG_IGN);
    const Workspace workspace;
    const Outcome outcome = run(workspace.step({"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}));
    CHECK(outcome.out == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("a command that cannot be executed ends with 127 or 126 and says why") {
    const Workspace workspace;
    write_file(workspace.lower() + "/bin/plain", "no program", 0755);
    write_file(workspace.lower() + "/bin/closed", "#!/bin/sh\n", 0644);
    write_file(workspace.lower() + "/bin/orphan", "#!/bin/nowhere\n", 0755);

    const auto [name, code, line] = GENERATE(table<std::string, int, std::string>({
        {"/bin/missing", 127, "imgbuild: cannot execute '/bin/missing': not found\n"},
        {"missing", 127, "imgbuild: cannot execute 'missing': not found in PATH\n"},
        {"/bin/closed", 126, "imgbuild: cannot execute '/bin/closed': permission denied\n"},
        {"closed", 126, "imgbuild: cannot execute 'closed': permission denied\n"},
        {"/bin/plain", 126,
         "imgbuild: cannot execute '/bin/plain': not a program for this machine, and not a script that begins with "
         "'#!'\n"},
        {"/bin/orphan", 127,
         "imgbuild: cannot execute '/bin/orphan': it exists, but its interpreter or dynamic loader does not\n"},
    }));
    const Outcome outcome = run(workspace.step({name}));
    CHECK(outcome.result.exit_code == code);
    CHECK(outcome.err == line);
}

TEST_CASE("a step without mount point is refused with the path") {
    const Workspace workspace;
    StepSpec step = workspace.step({"true"});
    step.mounts = {TmpfsMount{.target = "/nowhere"}};
    try {
        run(step);
        FAIL("it ran");
    } catch (const IoError& error) {
        CHECK(error.error_number() == ENOENT);
        CHECK_THAT(error.what(), Contains("preparing the step's sandbox: open mount point '/nowhere'"));
        CHECK_THAT(error.hint(), Contains("the step asked for it"));
    }
}

TEST_CASE("a working directory that is not there is refused with the path") {
    const Workspace workspace;
    StepSpec step = workspace.step({"true"});
    step.workdir = "/nowhere";
    CHECK_THROWS_WITH(run(step), Contains("enter working directory '/nowhere': No such file or directory"));
}

TEST_CASE("a step's figures are those of all its processes") {
    const Workspace workspace;
    const Outcome outcome = run(workspace.shell("dd if=/dev/zero of=/dev/null bs=32M count=40 2>/dev/null"));
    CHECK(outcome.result.peak_rss > std::uint64_t{32} << 20U);
    CHECK(outcome.result.system_time + outcome.result.user_time > std::chrono::milliseconds{1});
}

TEST_CASE("steps run at the same time from several threads") {
    worker_facts();
    std::vector<Outcome> outcomes(4);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < outcomes.size(); ++i) {
            threads.emplace_back([&outcomes, i] {
                const Workspace workspace;
                for (int round = 0; round < 10; ++round)
                    outcomes[i] = run(workspace.shell("echo $PPID; exit " + std::to_string(i)));
            });
        }
    }
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        CHECK(outcomes[i].result.exit_code == static_cast<int>(i));
        CHECK(outcomes[i].out == "1\n");
    }
}
