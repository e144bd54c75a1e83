#include "builder/forms_read.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/sample_nodes.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using namespace imgbuild::builder::test;

TEST_CASE("copies that nothing but the image stands on are not read") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId first = graph.add(copy(graph.add(image()), context));
    const NodeId second = graph.add(copy(first, context));
    const std::vector<bool> read = read_as_trees(graph, second, false);
    CHECK_FALSE(read[first]);
    CHECK_FALSE(read[second]);
}

TEST_CASE("a command reads everything that it runs on, and nothing that stands on it") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId below = graph.add(copy(graph.add(image()), context));
    const NodeId command = graph.add(exec(below));
    const NodeId above = graph.add(copy(command, context));
    const std::vector<bool> read = read_as_trees(graph, above, false);
    CHECK(read[below]);
    CHECK_FALSE(read[command]);
    CHECK_FALSE(read[above]);
}

TEST_CASE("what is copied or mounted from is read") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId copied = graph.add(copy(std::nullopt, context));
    const NodeId mounted = graph.add(copy(std::nullopt, context));
    const NodeId command = graph.add(exec(graph.add(image()), {BindMount{.from = mounted, .target = "/m"}}));
    const NodeId target = graph.add(copy(command, copied));
    const std::vector<bool> read = read_as_trees(graph, target, false);
    CHECK(read[copied]);
    CHECK(read[mounted]);
    CHECK_FALSE(read[target]);
}

TEST_CASE("a layer that was put on others is read with them") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId base = graph.add(image());
    const NodeId linked = graph.add(copy(std::nullopt, context));
    const NodeId merged = graph.add({.op = Merge{.top = linked}, .base = base, .origin = {}});
    CHECK_FALSE(read_as_trees(graph, merged, false)[linked]);
    const NodeId command = graph.add(exec(merged));
    CHECK(read_as_trees(graph, command, false)[linked]);
}

TEST_CASE("who is not needed reads nothing, and outputs of files read the result") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId copied = graph.add(copy(std::nullopt, context));
    graph.add(exec(copied));
    CHECK_FALSE(read_as_trees(graph, copied, false)[copied]);
    CHECK(read_as_trees(graph, copied, true)[copied]);
}
