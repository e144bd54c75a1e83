#include "builder/step_costs.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using std::chrono::milliseconds;

namespace {

const Platform kAmd64 = Platform::parse("linux/amd64");

/// FROM the base, COPY, and a command on top of that.
Graph build_of(const std::string& base, const std::string& copied, Exec exec, const std::string& stage = "build") {
    Graph graph;
    const NodeId image = graph.add({.op = ImageSource{base}, .base = {}, .origin = {}});
    const NodeId context = graph.add({.op = LocalSource{"context"}, .base = {}, .origin = {}});
    File file;
    file.actions.push_back(CopyFiles{.from = context, .sources = {copied}, .destination = "/"});
    const NodeId copy = graph.add({.op = std::move(file), .base = image, .origin = {}});
    graph.add({.op = std::move(exec), .base = copy, .origin = {.stage = stage, .instruction = {}, .where = {}}});
    return graph;
}

Digest name_of(const Graph& graph, const Platform& platform = kAmd64) {
    return name_steps(graph, platform).at(3).value();
}

const Exec kMake{.args = {"make", "all"}, .workdir = "/src"};
const std::string kBase = "127.0.0.1:5000/base:1 linux/amd64";

}  // namespace

TEST_CASE("a command keeps its name when files or the base's version change") {
    const Digest name = name_of(build_of(kBase, "a", kMake));
    CHECK(name_of(build_of("127.0.0.1:5000/base:2 linux/amd64", "b", kMake)) == name);
}

TEST_CASE("another command, place, stage, base or platform has another name") {
    const Digest name = name_of(build_of(kBase, "a", kMake));
    CHECK(name_of(build_of(kBase, "a", {.args = {"make all"}, .workdir = "/src"})) != name);
    CHECK(name_of(build_of(kBase, "a", {.args = {"make", "all"}, .workdir = "/"})) != name);
    CHECK(name_of(build_of(kBase, "a", kMake, "other")) != name);
    CHECK(name_of(build_of("127.0.0.1:5000/other:1 linux/amd64", "a", kMake)) != name);
    CHECK(name_of(build_of("oci-layout://dir linux/amd64", "a", kMake)) != name);
    CHECK(name_of(build_of(kBase, "a", kMake), Platform::parse("linux/arm64")) != name);
}

TEST_CASE("what runs no command has no name") {
    const StepNames names = name_steps(build_of(kBase, "a", kMake), kAmd64);
    CHECK_FALSE(names[0]);
    CHECK_FALSE(names[1]);
    CHECK_FALSE(names[2]);
}

TEST_CASE("what was remembered of a command is its cost, and a guess is until then") {
    const test::Directory place;
    const auto store = layers::Store::open(place.at("store"));
    const Graph graph = build_of(kBase, "a", kMake);
    const StepNames names = name_steps(graph, kAmd64);
    CHECK(find_costs(graph, names, *store)[3].time == milliseconds(1000));
    CHECK(find_costs(graph, names, *store)[3].memory == 0);

    const auto [memory, counted] = GENERATE(
        table<std::uint64_t, std::uint64_t>({{std::uint64_t{3} << 30, std::uint64_t{3} << 30}, {kSmallMemory - 1, 0}}));
    layers::Lease lease = store->begin_lease();
    lease.publish(
        lease.begin_layer(), "", {},
        layers::KeyRecord{.key = util::Sha256::of("key"),
                          .kind = "exec",
                          .slot = {},
                          .ingredients = {},
                          .cost = layers::StepCost{.step = *names[3], .time = milliseconds(70), .memory = memory}});
    const auto costs = find_costs(graph, names, *store);
    CHECK(costs[3].time == milliseconds(70));
    CHECK(costs[3].memory == counted);
    CHECK(costs[0].time == milliseconds(0));
}
