// What the kernel's overlayfs really shows, against what our indexes say about it; and what comes of steps: a layer
// that gives their tree again, the same from an overlay and from a copied root. Needs root; skipped otherwise.
#include "layers/copied_root.hpp"
#include "layers/diff.hpp"
#include "layers/pack.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/random_steps.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

ScanResult scan(const Tree& upper, const ChainView& below) {
    return scan_upper(upper.root(), {.layer_time = kStepTime, .below = &below, .given_away = {}, .stop = {}});
}

std::string tar_of(const NameIndex& names, const Tree& tree) {
    TarString tar;
    write_layer_tar(names, tree.root(), tar);
    return tar.text();
}

void take_steps(std::mt19937_64 random, const std::string& root) {
    const std::uint64_t count = 1 + random() % 20;
    for (std::uint64_t i = 0; i < count; ++i) change_something(random, root);
}

// Trees of the chain and its patch, oldest first.
struct Stack {
    Chain chain;
    ChainView below;
    std::unique_ptr<Tree> patch;
    std::vector<const Tree*> trees;

    explicit Stack(std::mt19937_64& random)
        : chain(random_chain(random)), below(chain.layers), patch(make_patch(below, chain)), trees(chain.trees) {
        trees.push_back(patch.get());
    }

    Listing show(const Tree& top) const {
        std::vector<const Tree*> all = trees;
        all.push_back(&top);
        return list_directory_tree(Overlay(all, nullptr).path());
    }
};

std::string layer_by_copy(const Stack& stack, const std::mt19937_64& random) {
    const Tree root;
    TreeWriter writer(root.root());
    write_merged(stack.below, stack.chain.roots(), writer, {});
    static_cast<void>(writer.finish());
    const CopiedRoot before = CopiedRoot::remember(root.root(), {});
    take_steps(random, root.path());
    const Tree upper;
    before.move_changes(root.root(), upper.root(), {});
    return tar_of(scan(upper, stack.below).names, upper);
}

}  // namespace

TEST_CASE("a stack with its patch on top shows what the chain's view says", "[property]") {
    in_mount_namespace([] {
        const std::uint64_t seed = fresh_seed();
        INFO("IMGBUILD_SEED=" << seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < rounds(100); ++round) {
            INFO("round " << round);
            const Stack stack(random);
            const Overlay overlay(stack.trees, nullptr);
            REQUIRE(differences(list_directory_tree(overlay.path()), list_view(stack.below, stack.chain.trees)) == "");
        }
    });
}

TEST_CASE("what a step changed, packed and applied again, gives the tree that the step left", "[property]") {
    in_mount_namespace([] {
        const std::uint64_t seed = fresh_seed();
        INFO("IMGBUILD_SEED=" << seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < rounds(60); ++round) {
            INFO("round " << round);
            Stack stack(random);
            const Tree upper;
            {
                dress_upper(upper.root(), stack.below);
                const Overlay overlay(stack.trees, &upper);
                take_steps(random, overlay.path());
            }
            random.discard(100);
            const Listing left = stack.show(upper);
            const std::string tar = tar_of(scan(upper, stack.below).names, upper);
            CHECK(differences(left, stack.show(upper)) == "");

            util::MemorySource source(tar);
            auto applied = std::make_unique<Tree>();
            UnpackResult unpacked = unpack_layer(source, applied->root());
            CHECK(tar_of(unpacked.names, *applied) == tar);
            REQUIRE(differences(left, stack.show(*applied)) == "");
            stack.chain.add(std::move(applied), std::move(unpacked.names));
            REQUIRE(differences(left, list_view(ChainView(stack.chain.layers), stack.chain.trees)) == "");
        }
    });
}

TEST_CASE("a copied root gives the same layer as an overlay for random steps", "[property]") {
    in_mount_namespace([] {
        const std::uint64_t seed = fresh_seed();
        INFO("IMGBUILD_SEED=" << seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < rounds(40); ++round) {
            INFO("round " << round);
            const Stack stack(random);
            const Tree upper;
            {
                dress_upper(upper.root(), stack.below);
                const Overlay overlay(stack.trees, &upper);
                take_steps(random, overlay.path());
            }
            const std::string expected = tar_of(scan(upper, stack.below).names, upper);
            const std::string copied = layer_by_copy(stack, random);
            random.discard(100);
            // Compared as trees first, since that tells what differs.
            util::MemorySource one(expected);
            util::MemorySource two(copied);
            const Tree by_overlay;
            const Tree by_copy;
            static_cast<void>(unpack_layer(one, by_overlay.root()));
            static_cast<void>(unpack_layer(two, by_copy.root()));
            REQUIRE(differences(stack.show(by_overlay), stack.show(by_copy)) == "");
            REQUIRE(copied == expected);
        }
    });
}
