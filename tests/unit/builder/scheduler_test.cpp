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
