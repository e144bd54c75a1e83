#include "builder/graph.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using Catch::Matchers::Contains;

namespace {

Node exec(std::optional<NodeId> base, std::vector<std::string> args = {"true"}) {
    return {.op = Exec{.args = std::move(args)}, .base = base, .origin = {}};
}

Node copy(std::optional<NodeId> base, std::vector<NodeId> from) {
    File file;
    for (const NodeId id : from) file.actions.push_back(CopyFiles{.from = id, .sources = {"a"}, .destination = "/a"});
    return {.op = std::move(file), .base = base, .origin = {}};
}

Node image(const std::string& locator) {
    return {.op = ImageSource{locator}, .base = {}, .origin = {}};
}

}  // namespace

TEST_CASE("nodes are numbered in the order in which they are added") {
    Graph graph;
    CHECK(graph.add(image("a")) == 0);
    CHECK(graph.add(exec(0)) == 1);
    CHECK(graph.size() == 2);
    CHECK(op_name(graph[1].op) == "exec");
}

TEST_CASE("the inputs of a node are its base first and every source once") {
    CHECK(inputs_of(copy(2, {1, 2, 0, 1})) == std::vector<NodeId>{2, 1, 0});
}

TEST_CASE("a node on an empty file system has no inputs") {
    CHECK(inputs_of(exec(std::nullopt)).empty());
}

TEST_CASE("a target needs what it stands on and copies from, and nothing else") {
    Graph graph;
    const NodeId base = graph.add(image("a"));
    const NodeId made = graph.add(exec(base));
    graph.add(exec(made));  // nobody needs this one
    const NodeId target = graph.add(copy(std::nullopt, {made}));
    graph.add(exec(target));
    CHECK(needed_for(graph, target) == std::vector<bool>{true, true, false, true, false});
}

TEST_CASE("the JSON of a graph says what is needed, and repeats byte by byte") {
    Graph graph;
    graph.add(image("docker.io/library/a:1"));
    graph.add(exec(0, {"/bin/sh", "-c", "make"}));
    graph.add(exec(0));
    const std::string json = to_json(graph, 1, Platform::parse("linux/arm64"));
    CHECK(json == to_json(graph, 1, Platform::parse("linux/arm64")));
    CHECK_THAT(json, Contains("\"docker.io/library/a:1\"") && Contains("linux/arm64"));
    CHECK_THAT(json, Contains("\"needed\": false"));
}

TEST_CASE("a graph with bytes that are no UTF-8 can still be printed") {
    Graph graph;
    graph.add(exec(std::nullopt, {"\xff\xfe"}));
    CHECK_THAT(to_json(graph, 0, Platform::parse("linux/amd64")), Contains("\xef\xbf\xbd"));
}

TEST_CASE("the graphviz text escapes quotes and line ends of an instruction") {
    Graph graph;
    Node node = exec(std::nullopt);
    node.origin.instruction = "RUN echo \"a\nb\"";
    graph.add(std::move(node));
    CHECK_THAT(to_dot(graph, 0), Contains("RUN echo \\\"a b\\\""));
}
