#include "builder/scheduler.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

constexpr std::size_t kMany = 100;

Node exec(std::optional<NodeId> base) {
    return {.op = Exec{.args = {"true"}}, .base = base, .origin = {}};
}

Node copy(std::optional<NodeId> base, const std::vector<NodeId>& from) {
    File file;
    for (const NodeId id : from) file.actions.push_back(CopyFiles{.from = id, .sources = {"a"}, .destination = "/a"});
    return {.op = std::move(file), .base = base, .origin = {}};
}

/// `width` nodes that need nothing, and one that needs them all (the last).
Graph fan(std::size_t width) {
    Graph graph;
    std::vector<NodeId> all;
    for (std::size_t i = 0; i < width; ++i) all.push_back(graph.add(exec(std::nullopt)));
    graph.add(copy(std::nullopt, all));
    return graph;
}

Error failure(const std::string& code) {
    return Error({.code = code, .message = "it failed", .hint = {}, .where = {}});
}

void wait_for(const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
}

}  // namespace

TEST_CASE("a plan starts ready nodes in graph order and no more than it is allowed") {
    const Graph graph = fan(3);
    Plan plan(graph, 3);
    CHECK(plan.start(2) == std::vector<NodeId>{0, 1});
    CHECK(plan.running() == 2);
    CHECK(plan.start(kMany) == std::vector<NodeId>{2});
    CHECK(plan.start(kMany).empty());
}

TEST_CASE("a node of a plan is ready when the last of its inputs is done") {
    const Graph graph = fan(2);
    Plan plan(graph, 2);
    plan.start(kMany);
    plan.finish(1);
    CHECK(plan.start(kMany).empty());
    plan.finish(0);
    CHECK(plan.start(kMany) == std::vector<NodeId>{2});
    plan.finish(2);
    CHECK(plan.complete());
}

TEST_CASE("a plan leaves out what the target does not need") {
    Graph graph = fan(2);
    const NodeId target = graph.add(exec(NodeId{1}));
    Plan plan(graph, target);
    CHECK(plan.start(kMany) == std::vector<NodeId>{1});
    CHECK(plan.is_wanted(1));
    CHECK_FALSE(plan.is_wanted(0));
}

TEST_CASE("eight nodes that wait for each other run at once") {
    const Graph graph = fan(8);
    std::latch all_here(8);
    run_graph(graph, 8, 8, {}, [&](NodeId node, const std::stop_token&) {
        if (node < 8) all_here.arrive_and_wait();
    });
    CHECK(all_here.try_wait());
}

TEST_CASE("no more nodes run at once than there are jobs") {
    const Graph graph = fan(12);
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    run_graph(graph, 12, 3, {}, [&](NodeId, const std::stop_token&) {
        most = std::max<int>(most, ++now);
        std::this_thread::yield();
        --now;
    });
    CHECK(most <= 3);
}

TEST_CASE("every needed node runs once and after its inputs") {
    Graph graph;
    const NodeId a = graph.add(exec(std::nullopt));
    const NodeId b = graph.add(exec(a));
    const NodeId c = graph.add(exec(a));
    const NodeId d = graph.add(copy(b, {c}));
    std::mutex mutex;
    std::vector<NodeId> order;
    run_graph(graph, d, 4, {}, [&](NodeId node, const std::stop_token&) {
        const std::lock_guard lock(mutex);
        order.push_back(node);
    });
    REQUIRE(order.size() == 4);
    CHECK(order.front() == a);
    CHECK(order.back() == d);
}

TEST_CASE("of several failed nodes the first in graph order is told") {
    const Graph graph = fan(3);
    std::latch all_here(3);
    const auto code = test::error_code([&] {
        run_graph(graph, 3, 3, {}, [&](NodeId node, const std::stop_token&) {
            all_here.arrive_and_wait();
            throw failure("test.node-" + std::to_string(node));
        });
    });
    CHECK(code == "test.node-0");
}

TEST_CASE("a failure stops what runs, and is told in place of their being stopped") {
    const Graph graph = fan(2);
    std::latch both(2);
    std::atomic<bool> was_stopped{false};
    const auto code = test::error_code([&] {
        run_graph(graph, 2, 2, {}, [&](NodeId node, const std::stop_token& stop) {
            both.arrive_and_wait();
            if (node == 1) throw failure("test.broken");
            wait_for(stop);
            was_stopped = true;
            throw Cancelled();
        });
    });
    CHECK(code == "test.broken");
    CHECK(was_stopped);
}

TEST_CASE("after a failure nothing new is started") {
    const Graph graph = fan(4);
    std::atomic<int> started{0};
    const auto body = [&](NodeId, const std::stop_token&) {
        ++started;
        throw failure("test.broken");
    };
    CHECK_THROWS_AS(run_graph(graph, 4, 1, {}, body), Error);
    CHECK(started == 1);
}

TEST_CASE("a graph that is stopped from outside ends as cancelled") {
    const Graph graph = fan(2);
    std::stop_source stop;
    const auto body = [&](NodeId, const std::stop_token& token) {
        stop.request_stop();
        wait_for(token);
        throw Cancelled();
    };
    CHECK_THROWS_AS(run_graph(graph, 2, 1, stop.get_token(), body), Cancelled);
}

TEST_CASE("a graph that is stopped before it begins runs nothing") {
    const Graph graph = fan(2);
    std::stop_source stop;
    stop.request_stop();
    std::atomic<int> started{0};
    const auto body = [&](NodeId, const std::stop_token&) { ++started; };
    CHECK_THROWS_AS(run_graph(graph, 2, 2, stop.get_token(), body), Cancelled);
    CHECK(started == 0);
}

namespace {

using std::chrono::milliseconds;

/// Costs of a fan whose last node takes nothing.
std::vector<NodeCost> costs(const std::vector<NodeCost>& of_the_wide_part) {
    std::vector<NodeCost> out = of_the_wide_part;
    out.push_back({});
    return out;
}

NodeCost time(int ms) {
    return {.time = milliseconds(ms)};
}

NodeCost memory(std::uint64_t bytes) {
    return {.memory = bytes};
}

constexpr std::uint64_t kMemory = 100;

/// All nodes of the wide part of a fan, asking.
Plan asking(const Graph& graph, std::vector<NodeCost> costs) {
    Plan plan(graph, graph.size() - 1, std::move(costs));
    for (const NodeId node : plan.start(kMany)) plan.ask(node);
    return plan;
}

}  // namespace

TEST_CASE("the way before a node is its own time and that of the slowest chain behind it") {
    Graph graph;
    const NodeId a = graph.add(exec(std::nullopt));
    const NodeId b = graph.add(exec(a));
    const NodeId c = graph.add(exec(a));
    const NodeId d = graph.add(copy(b, {c}));
    graph.add(exec(a));
    const auto paths = longest_paths(graph, d, {time(1), time(20), time(300), time(4000), time(50000)});
    CHECK(paths ==
          std::vector{milliseconds(4301), milliseconds(4020), milliseconds(4300), milliseconds(4000), milliseconds(0)});
}

TEST_CASE("of ready nodes those with the longest way before them start first, and equal ones in graph order") {
    const Graph graph = fan(4);
    Plan plan(graph, 4, costs({time(1), time(5), time(9), time(5)}));
    CHECK(plan.start(3) == std::vector<NodeId>{2, 1, 3});
    CHECK(plan.start(3) == std::vector<NodeId>{0});
}

TEST_CASE("a short node before a long chain goes before a longer node that nothing waits for") {
    Graph graph;
    const NodeId lone = graph.add(exec(std::nullopt));
    const NodeId first = graph.add(exec(std::nullopt));
    const NodeId second = graph.add(exec(first));
    const NodeId last = graph.add(copy(lone, {second}));
    Plan plan(graph, last, {time(50), time(1), time(90), time(0)});
    CHECK(plan.start(1) == std::vector<NodeId>{first});
}

TEST_CASE("commands are admitted as long as what they took before fits, the longest way first") {
    const Graph graph = fan(3);
    Plan plan = asking(graph, costs({{milliseconds(1), 40}, {milliseconds(2), 50}, {milliseconds(3), 60}}));
    CHECK(plan.running() == 0);
    CHECK(plan.admit(kMany, kMemory) == std::vector<NodeId>{2, 0});
    CHECK(plan.running() == 2);
    CHECK(plan.held_up(kMemory) == std::vector<NodeId>{1});
    plan.finish(2);
    CHECK(plan.admit(kMany, kMemory) == std::vector<NodeId>{1});
    CHECK(plan.asking() == 0);
}

TEST_CASE("a command that is alone is admitted whatever it took, and others wait for its end") {
    const Graph graph = fan(2);
    Plan plan = asking(graph, costs({memory(kMemory * 5), memory(1)}));
    CHECK(plan.admit(kMany, kMemory) == std::vector<NodeId>{0});
    CHECK(plan.admit(kMany, kMemory).empty());
    plan.finish(0);
    CHECK(plan.admit(kMany, kMemory) == std::vector<NodeId>{1});
}

TEST_CASE("commands of which nothing is known are always admitted") {
    const Graph graph = fan(3);
    Plan plan = asking(graph, costs({memory(kMemory * 5), memory(0), memory(0)}));
    CHECK(plan.admit(kMany, 0) == std::vector<NodeId>{0, 1, 2});
}

TEST_CASE("sums of what commands took do not wrap") {
    const Graph graph = fan(3);
    const std::uint64_t most = ~std::uint64_t{0};
    Plan plan = asking(graph, costs({memory(most), memory(most), memory(2)}));
    CHECK(plan.admit(kMany, most) == std::vector<NodeId>{0});
}

TEST_CASE("no more commands are admitted than there are jobs") {
    const Graph graph = fan(3);
    Plan plan = asking(graph, {});
    CHECK(plan.admit(2, kMemory) == std::vector<NodeId>{0, 1});
    CHECK(plan.held_up(kMemory).empty());
    CHECK(plan.admit(1, kMemory) == std::vector<NodeId>{2});
}

TEST_CASE("a node that fails while it asks is done as any other") {
    const Graph graph = fan(1);
    Plan plan = asking(graph, {});
    plan.finish(0);
    CHECK(plan.asking() == 0);
    CHECK(plan.start(kMany) == std::vector<NodeId>{1});
}

TEST_CASE("commands that do not fit beside each other run one after the other, and it is told once who waits") {
    const Graph graph = fan(4);
    std::atomic<std::uint64_t> now{0};
    std::atomic<std::uint64_t> most{0};
    std::atomic<int> runs{0};
    std::vector<NodeId> told;
    Scheduler scheduler(graph, 4,
                        {.jobs = 8,
                         .costs = costs({memory(60), memory(60), memory(60), memory(40)}),
                         .free_memory = [] { return kMemory; },
                         .on_wait = [&](NodeId node) { told.push_back(node); }});
    std::latch all_here(4);
    scheduler.run({}, [&](NodeId node, const std::stop_token& stop) {
        if (node == 4) return;
        all_here.arrive_and_wait();
        scheduler.await_turn(node, stop);
        const std::uint64_t mine = node == 3 ? 40 : 60;
        most = std::max<std::uint64_t>(most, now += mine);
        std::this_thread::yield();
        now -= mine;
        ++runs;
    });
    CHECK(runs == 4);
    CHECK(most <= kMemory);
    CHECK(std::set<NodeId>(told.begin(), told.end()).size() == told.size());
}

TEST_CASE("while a command waits for memory another node takes its job") {
    // Two commands that do not fit beside each other, and a node that the first waits for while it runs.
    const Graph graph = fan(3);
    std::latch third_ran(1);
    std::latch second_waits(1);
    Scheduler scheduler(graph, 3,
                        {.jobs = 2,
                         .costs = costs({{milliseconds(9), 60}, {milliseconds(8), 60}, {milliseconds(1), 0}}),
                         .free_memory = [] { return kMemory; },
                         .on_wait = [&](NodeId) { second_waits.count_down(); }});
    scheduler.run({}, [&](NodeId node, const std::stop_token& stop) {
        if (node == 2) third_ran.count_down();
        if (node > 1) return;
        scheduler.await_turn(node, stop);
        if (!second_waits.try_wait()) second_waits.wait();
        third_ran.wait();
    });
    CHECK(third_ran.try_wait());
}

TEST_CASE("free memory is asked for while no command runs, and not at all if none needs to be counted") {
    const Graph graph = fan(2);
    const auto [bytes, expected] = GENERATE(table<std::uint64_t, int>({{60, 2}, {0, 0}}));
    int asked = 0;
    Scheduler scheduler(graph, 2, {.jobs = 1, .costs = costs({memory(bytes), memory(bytes)}), .free_memory = [&] {
                                       ++asked;
                                       return kMemory;
                                   }});
    scheduler.run({}, [&](NodeId node, const std::stop_token& stop) {
        if (node < 2) scheduler.await_turn(node, stop);
    });
    CHECK(asked == expected);
}

TEST_CASE("a command that waits for memory is cancelled when another one fails") {
    const Graph graph = fan(2);
    std::latch waits(1);
    Scheduler scheduler(graph, 2,
                        {.jobs = 2,
                         .costs = costs({memory(60), memory(60)}),
                         .free_memory = [] { return kMemory; },
                         .on_wait = [&](NodeId) { waits.count_down(); }});
    std::atomic<int> ran{0};
    const auto code = test::error_code([&] {
        scheduler.run({}, [&](NodeId node, const std::stop_token& stop) {
            scheduler.await_turn(node, stop);
            ++ran;
            waits.wait();
            throw failure("test.broken");
        });
    });
    CHECK(code == "test.broken");
    CHECK(ran == 1);
}
