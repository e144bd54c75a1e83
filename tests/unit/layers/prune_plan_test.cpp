// The decision what goes: a pure function of an inventory.
#include "layers/prune.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::layers;

namespace {

StoredObject object(ObjectKind kind, std::string id, std::uint64_t bytes, std::int64_t last_used) {
    return {.kind = kind, .id = std::move(id), .bytes = bytes, .last_used = last_used};
}

/// Two images, of which only the first has a name; each needs a layer of its own, and both share one. A layer, a blob
/// and a mount beside them.
Inventory example() {
    Inventory out;
    out.objects = {object(ObjectKind::image, "named", 0, 50),      object(ObjectKind::image, "nameless", 0, 60),
                   object(ObjectKind::layer, "of named", 100, 10), object(ObjectKind::layer, "of nameless", 200, 20),
                   object(ObjectKind::layer, "of both", 400, 30),  object(ObjectKind::layer, "cached", 800, 40),
                   object(ObjectKind::blob, "blob", 1600, 5),      object(ObjectKind::mount, "mount", 3200, 1)};
    out.objects[0].names = {"app:1"};
    out.objects[0].needs = {2, 4};
    out.objects[1].needs = {3, 4};
    return out;
}

std::vector<std::string> plan(const Inventory& inventory, const PruneRules& rules) {
    std::vector<std::string> out;
    for (const std::size_t i : plan_prune(inventory, rules)) out.push_back(inventory.objects[i].id);
    return out;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("by default goes what no image with a name needs") {
    CHECK(plan(example(), PruneRules::unused()) == Ids{"nameless", "blob", "of nameless", "cached"});
}

TEST_CASE("everything is everything, but for what is held") {
    CHECK(plan(example(), PruneRules::everything()).size() == 8);
    Inventory inventory = example();
    inventory.objects[2].held = true;
    inventory.objects[7].held = true;
    CHECK(plan(inventory, PruneRules::everything()).size() == 6);
}

TEST_CASE("only the kinds that are asked for go") {
    PruneRules rules;
    rules.kinds = {ObjectKind::mount};
    CHECK(plan(example(), rules) == Ids{"mount"});
    rules.kinds = {ObjectKind::image};
    CHECK(plan(example(), rules) == Ids{"nameless"});
    rules.kinds = {ObjectKind::layer};
    CHECK(plan(example(), rules) == Ids{"cached"});
}

TEST_CASE("what was used since stays") {
    PruneRules rules = PruneRules::everything();
    rules.unused_since = 40;
    // The images are younger, and keep what they need.
    CHECK(plan(example(), rules) == Ids{"mount", "blob"});
    rules.unused_since = 41;
    CHECK(plan(example(), rules) == Ids{"mount", "blob", "cached"});
}

TEST_CASE("with a size to keep, the least recently used go until it fits") {
    PruneRules rules = PruneRules::unused();
    const auto kept = [&](std::uint64_t bytes) {
        rules.keep_bytes = bytes;
        return plan(example(), rules);
    };
    CHECK(example().total() == 6300);
    CHECK(kept(6300).empty());
    CHECK(kept(6299) == Ids{"blob"});
    CHECK(kept(4700) == Ids{"blob"});
    CHECK(kept(4699) == Ids{"blob", "cached"});
    // Images go last, and then what they needed.
    CHECK(kept(3899) == Ids{"blob", "cached", "nameless", "of nameless"});
    // The rest may not go, so that is all.
    CHECK(kept(0) == Ids{"blob", "cached", "nameless", "of nameless"});
}

TEST_CASE("an image with a name goes after those without, whatever their age") {
    PruneRules rules = PruneRules::everything();
    rules.keep_bytes = 0;
    CHECK(plan(example(), rules) ==
          Ids{"mount", "blob", "cached", "nameless", "of nameless", "named", "of named", "of both"});
}

TEST_CASE("what the store keeps for itself counts, and cannot go") {
    Inventory inventory = example();
    inventory.overhead = 1000;
    PruneRules rules = PruneRules::unused();
    rules.keep_bytes = 6300;
    CHECK(plan(inventory, rules) == Ids{"blob"});
}
