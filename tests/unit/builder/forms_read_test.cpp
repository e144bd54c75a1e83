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
    const std::vector<Reading> read = readings(graph, second, Reading::packed);
    CHECK(read[first] == Reading::packed);
    CHECK(read[second] == Reading::packed);
}

TEST_CASE("a command reads everything that it runs on, and nothing that stands on it") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId below = graph.add(copy(graph.add(image()), context));
    const NodeId command = graph.add(exec(below));
    const NodeId above = graph.add(copy(command, context));
    const std::vector<Reading> read = readings(graph, above, Reading::packed);
    CHECK(read[below] == Reading::as_tree);
    CHECK(read[command] == Reading::packed);
    CHECK(read[above] == Reading::packed);
}

TEST_CASE("what is copied or mounted from is read") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId copied = graph.add(copy(std::nullopt, context));
    const NodeId mounted = graph.add(copy(std::nullopt, context));
    const NodeId command = graph.add(exec(graph.add(image()), {BindMount{.from = mounted, .target = "/m"}}));
    const NodeId target = graph.add(copy(command, copied));
    const std::vector<Reading> read = readings(graph, target, Reading::packed);
    CHECK(read[copied] == Reading::copied);
    CHECK(read[mounted] == Reading::as_tree);
    CHECK(read[target] == Reading::packed);
}

TEST_CASE("a layer that was put on others is read with them") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId base = graph.add(image());
    const NodeId linked = graph.add(copy(std::nullopt, context));
    const NodeId merged = graph.add({.op = Merge{.top = linked}, .base = base, .origin = {}});
    CHECK(readings(graph, merged, Reading::packed)[linked] == Reading::packed);
    const NodeId command = graph.add(exec(merged));
    CHECK(readings(graph, command, Reading::packed)[linked] == Reading::as_tree);
}

TEST_CASE("who is not needed reads nothing, and outputs of files read the result") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId copied = graph.add(copy(std::nullopt, context));
    graph.add(exec(copied));
    CHECK(readings(graph, copied, Reading::packed)[copied] == Reading::packed);
    CHECK(readings(graph, copied, Reading::copied)[copied] == Reading::copied);
}

TEST_CASE("what is copied from and run on is a tree, with all that lies below it, whoever came first") {
    Graph graph;
    const NodeId context = graph.add(local());
    const NodeId below = graph.add(copy(graph.add(image()), context));
    const NodeId both = graph.add(copy(below, context));
    const bool copies_first = GENERATE(true, false);
    CAPTURE(copies_first);
    const auto add_copy = [&](std::optional<NodeId> base) { return graph.add(copy(base, both)); };
    const NodeId first = copies_first ? add_copy(graph.add(image())) : graph.add(exec(both));
    const NodeId target =
        copies_first ? graph.add(exec(both, {BindMount{.from = first, .target = "/m"}})) : add_copy(first);
    const std::vector<Reading> read = readings(graph, target, Reading::packed);
    CHECK(read[both] == Reading::as_tree);
    CHECK(read[below] == Reading::as_tree);
}
