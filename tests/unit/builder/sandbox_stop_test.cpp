// How a step ends before its command wants to, and that nothing of it is left.
#include <imgbuild/error.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "builder/sandbox/worker.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/sandbox_support.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;
using namespace imgbuild::sandbox::test;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

/// Waits until `condition` holds; false if it does not within some seconds.
bool eventually(auto condition) {
    const auto end = Clock::now() + 10s;
    while (Clock::now() < end) {
        if (condition()) return true;
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

NamespaceSandbox make_sandbox(std::chrono::milliseconds grace) {
    return NamespaceSandbox(worker_facts(), NamespaceOptions{.grace = grace});
}

}  // namespace

TEST_CASE("a stopped step gets SIGTERM and may end in its own way") {
    const Workspace workspace;
    NamespaceSandbox sandbox = make_sandbox(10s);
    Collected output;
    std::stop_source stop;
    output.react = [&] { stop.request_stop(); };
    const auto begin = Clock::now();
    const StepSpec step =
        workspace.shell("trap 'echo tidied up; exit 3' TERM; echo ready; while true; do sleep 0.01; done");
    CHECK_THROWS_AS(sandbox.run(step, output, stop.get_token()), Cancelled);
    CHECK(output.out == "ready\ntidied up\n");
    CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a stopped step that ignores SIGTERM is killed after the grace period") {
    const Workspace workspace;
    NamespaceSandbox sandbox = make_sandbox(200ms);
    Collected output;
    std::stop_source stop;
    output.react = [&] { stop.request_stop(); };
    const auto begin = Clock::now();
    const StepSpec step = workspace.shell("trap '' TERM; echo ready; exec sleep " + own_seconds(1));
    CHECK_THROWS_AS(sandbox.run(step, output, stop.get_token()), Cancelled);
    CHECK(Clock::now() - begin >= 200ms);
    CHECK(Clock::now() - begin < 5s);
    CHECK_FALSE(process_exists(own_seconds(1)));
}

TEST_CASE("a stop without grace kills at once") {
    const Workspace workspace;
    NamespaceSandbox sandbox = make_sandbox(0ms);
    Collected output;
    std::stop_source stop;
    output.react = [&] { stop.request_stop(); };
    const auto begin = Clock::now();
    CHECK_THROWS_AS(sandbox.run(workspace.shell("trap '' TERM; echo ready; exec sleep " + own_seconds(2)), output,
                                stop.get_token()),
                    Cancelled);
    CHECK(Clock::now() - begin < 2s);
}

TEST_CASE("a step is not even started when the stop came before") {
    const Workspace workspace;
    std::stop_source stop;
    stop.request_stop();
    Collected output;
    CHECK_THROWS_AS(shared_sandbox().run(workspace.shell("echo no"), output, stop.get_token()), Cancelled);
    CHECK(output.out.empty());
}

TEST_CASE("a step ends with its command, whatever it has left in the background") {
    const Workspace workspace;
    const auto begin = Clock::now();
    const Outcome outcome =
        run(workspace.shell("(setsid sleep " + own_seconds(3) + " &); setsid sh -c 'trap \"\" TERM HUP; sleep " +
                            own_seconds(3) + "' & sleep 0.05; echo done"));
    CHECK(outcome.out == "done\n");
    CHECK(Clock::now() - begin < 5s);
    CHECK_FALSE(process_exists(own_seconds(3)));
}

TEST_CASE("orphans are reaped while the command runs") {
    const Workspace workspace;
    const Outcome outcome = run(
        workspace.shell("for i in 1 2 3; do (true &); done; sleep 0.1; grep -l 'State:.Z' /proc/[0-9]*/status; true"));
    CHECK(outcome.out.empty());
}

TEST_CASE("what the output sink throws ends the step and leaves run()") {
    const Workspace workspace;
    Collected output;
    output.react = [] { throw std::runtime_error("disk full"); };
    CHECK_THROWS_WITH(shared_sandbox().run(workspace.shell("echo x; sleep " + own_seconds(4)), output, {}),
                      "disk full");
    CHECK_FALSE(process_exists(own_seconds(4)));
}

TEST_CASE("a worker that is killed takes its steps with it") {
    worker_facts();
    const Workspace workspace;
    const StepSpec step =
        workspace.shell("trap '' TERM; setsid sleep " + own_seconds(5) + " & sleep " + own_seconds(5));
    const pid_t worker = fork();
    REQUIRE(worker >= 0);
    if (worker == 0) {
        Collected output;
        shared_sandbox().run(step, output, {});
        _exit(0);
    }
    CHECK(eventually([] { return process_exists(own_seconds(5)); }));
    kill(worker, SIGKILL);
    waitpid(worker, nullptr, 0);
    CHECK(eventually([] { return !process_exists(own_seconds(5)); }));
    CHECK(eventually([] { return !process_exists("imgbuild-init"); }));
    // Only a file system that nobody mounts any more can be renamed and removed with everything in it.
    CHECK_NOTHROW(util::remove_all(step.work));
}

TEST_CASE("a build's user namespace leaves no process behind") {
    worker_facts();
    const BuildNamespace user = BuildNamespace::create(StepIds::identity);
    CHECK(user.fd() >= 0);
    CHECK(waitpid(-1, nullptr, WNOHANG | __WALL) == -1);
    CHECK(errno == ECHILD);
}

TEST_CASE("several builds make their user namespaces at the same time") {
    worker_facts();
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([] {
            for (int round = 0; round < 20; ++round) BuildNamespace::create(StepIds::identity);
        });
    }
}
