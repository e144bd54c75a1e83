#include "layers/pack.hpp"

#include <imgbuild/error.hpp>

#include "layers/tree_writer.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fcntl.h>
#include <unistd.h>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

std::string tar_of(const NameIndex& names, const Tree& tree) {
    TarString out;
    write_layer_tar(names, tree.root(), out);
    return out.text();
}

// A tar does not say what the inode could take; everything else must come back.
NameIndex without_overrides(const NameIndex& names) {
    std::vector<Entry> entries(names.entries().begin(), names.entries().end());
    for (Entry& entry : entries) {
        entry.overridden = false;
        if (entry.implicit) entry.mtime = 0;
    }
    return NameIndex(std::move(entries), names.passwd(), names.group());
}

}  // namespace

TEST_CASE("packing and unpacking give the same names again, and packing them the same bytes") {
    const std::uint64_t seed = fresh_seed();
    INFO("IMGBUILD_SEED=" << seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 10; ++round) {
        Tree first;
        const NameIndex names = make_random_layer(random, first.root());
        const std::string tar = tar_of(names, first);
        CHECK(tar_of(names, first) == tar);

        Tree second;
        util::MemorySource source(tar);
        const UnpackResult unpacked = unpack_layer(source, second.root());
        CHECK(unpacked.diff_id.digest() == util::Sha256::of(tar));
        CHECK(without_overrides(unpacked.names) == without_overrides(names));
        CHECK(tar_of(unpacked.names, second) == tar);
    }
}

TEST_CASE("a layer's blob does not depend on the number of threads") {
    const std::uint64_t seed = fresh_seed();
    INFO("IMGBUILD_SEED=" << seed);
    std::mt19937_64 random(seed);
    Tree tree;
    const NameIndex names = make_random_layer(random, tree.root());
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd);
    util::StringSink alone;
    const PackResult wanted = pack(names, tree.root(), {.kind = kind}, &alone, 1);
    for (unsigned threads = 2; threads <= 8; ++threads) {
        util::StringSink out;
        const PackResult result = pack(names, tree.root(), {.kind = kind}, &out, threads);
        CHECK(out.text() == alone.text());
        CHECK(result.blob->digest == wanted.blob->digest);
        CHECK(result.diff_id == wanted.diff_id);
    }
    CHECK(wanted.blob->digest == util::Sha256::of(alone.text()));
    CHECK(wanted.blob->size == alone.text().size());
    CHECK(pack(names, tree.root(), {}, nullptr, 1).diff_id == wanted.diff_id);
}

TEST_CASE("a changed file changes only the blocks around it") {
    const auto blocks_of = [](char fill) {
        std::vector<Digest> out;
        BlockCutter cutter([&](BlockCutter::Block block) {
            out.push_back(util::Sha256::of({reinterpret_cast<const char*>(block.data()), block.size()}));
        });
        TarWriter writer(cutter);
        for (int i = 0; i < 200; ++i) {
            const std::string text(100'000, i == 100 ? fill : 'x');
            util::MemorySource source(text);
            writer.add_file(file("f" + std::to_string(i), text.size()), source);
        }
        writer.finish();
        cutter.finish();
        return out;
    };
    const auto before = blocks_of('a');
    const auto after = blocks_of('b');
    REQUIRE(before.size() == after.size());
    int changed = 0;
    for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] == after[i] ? 0 : 1;
    CHECK(before.size() > 8);
    CHECK(changed == 1);
}

TEST_CASE("a tree that does not fit its names is not packed") {
    Tree tree;
    TreeWriter writer(tree.root());
    util::MemorySource text("abc");
    writer.add_file(file("f", 3), text);
    const NameIndex names = writer.finish();
    const auto damage = GENERATE(0, 1, 2);
    const std::string path = tree.path() + "/f";
    if (damage == 0) REQUIRE(::truncate(path.c_str(), 2) == 0);
    if (damage >= 1) REQUIRE(::unlink(path.c_str()) == 0);
    if (damage == 2) REQUIRE(::symlink("/etc/passwd", path.c_str()) == 0);
    TarString out;
    CHECK_THROWS_AS(write_layer_tar(names, tree.root(), out), CorruptData);
}

TEST_CASE("a request to stop ends the packing") {
    Tree tree;
    std::stop_source stop;
    stop.request_stop();
    TarString out;
    CHECK_THROWS_AS(write_layer_tar(NameIndex({file("f")}), tree.root(), out, stop.get_token()), Cancelled);
}
