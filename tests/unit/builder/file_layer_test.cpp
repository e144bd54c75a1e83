// Both forms of a copied layer are one layer.
#include "builder/ops/file_layer.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/checksums.hpp"
#include "builder/context/local_tree.hpp"
#include "builder/layer_forms.hpp"
#include "builder/ops/final_entries.hpp"
#include "builder/ops/keys.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "util/clock.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

using Strings = std::vector<std::string>;

// A COPY of some of the user's files on top of nothing.
struct Copy : test::Directory {
    test::Directory place;
    std::shared_ptr<layers::Store> store = layers::Store::open(place.at("store"));
    layers::Lease lease = store->begin_lease();
    test::Recorder recorder;
    Work work{.stop = {}, .progress = recorder};
    LayerForms forms{lease, 2};
    Strings sources{"."};
    int number = 0;

    std::string destination = "/to/";
    /// Are contents kept from the checksums on?
    bool keeps = false;
    std::uint64_t most_kept = 1U << 20;

    layers::LayerId make(
        std::optional<layers::Codec> packed_as, const std::function<void()>& meanwhile = [] {}) {
        const auto tree = std::make_shared<const LocalTree>(util::RootedDir::open(path()), parser::IgnoreMatcher{}, "");
        const CopyFiles copy{.from = 0, .sources = sources, .destination = destination};
        const std::int64_t looked_at = util::now_ns();
        const std::vector<Selection> selections{select_files(*tree, copy)};
        const auto chosen = files_of(selections[0]);
        KeptRoom room(most_kept);
        KeptContents kept(chosen.size(), room);
        const std::vector<Digest> contents = content_checksums(*tree, chosen, *store, 1, work, keeps ? &kept : nullptr);
        const layers::ChainView nothing;
        const Placement placement = place_files({.actions = {copy}}, selections, nothing, nothing,
                                                [](std::size_t, const SourceFileInfo&) { return false; });
        const SourceFiles files(
            {{.tree = tree, .selection = selections.data(), .contents = &contents, .kept = keeps ? &kept : nullptr}},
            looked_at);
        meanwhile();
        const layers::KeyRecord key{
            .key = util::Sha256::of(fmt::to_string(++number)), .kind = "file", .slot = "", .ingredients = "{}"};
        const FileLayer layer{
            .placement = placement, .files = files, .below = nothing, .time = 1'000'000'000, .key = key};
        return packed_as ? write_as_blob(layer, *packed_as, 2, lease, work) : write_as_tree(layer, 2, lease, work);
    }

    DiffId diff_id(const layers::LayerId& id) {
        Layer layer(util::Sha256::of(id.text()));
        layer.id = id;
        return forms.ensure_diff_id(layer, work);
    }
    layers::NameIndex names(const layers::LayerId& id) const { return layers::NameIndex::parse(lease.read_names(id)); }
    std::string tree_of(const layers::LayerId& id) {
        Layer layer(util::Sha256::of(id.text()));
        layer.id = id;
        return lease.tree_path(forms.ensure_tree(layer, work));
    }
};

const layers::Codec kPlain{.kind = layers::Codec::Kind::none};

// Any names, sizes around what is read at once, links of both kinds.
void fill(const Copy& copy, std::mt19937& random) {
    const auto below = [&random](unsigned bound) {
        return std::uniform_int_distribution<unsigned>(0, bound - 1)(random);
    };
    Strings files;
    for (unsigned i = 0; i < 60; ++i) {
        const std::string name = fmt::format("d{}/e{}/f{}", below(4), below(3), i);
        switch (below(8)) {
            case 0:
                copy.write(name + "x/y", "");
                copy.link(name, "elsewhere");
                break;
            case 1:
                if (files.empty()) break;
                copy.write(name + "x/y", "");
                copy.hard_link(name, files[below(static_cast<unsigned>(files.size()))]);
                break;
            case 2:
                copy.write(name, std::string(below(3) * 300'000, 'a'));
                files.push_back(name);
                break;
            default:
                copy.write(name, std::string(below(5000), 'b'), below(2) == 0 ? 0644 : 0755);
                files.push_back(name);
        }
    }
}

}  // namespace

TEST_CASE_METHOD(Copy, "a copy is the same layer as a tree and as a blob of any compression") {
    const unsigned seed = GENERATE(range(0U, 12U));
    INFO("seed " << seed);
    std::mt19937 random(seed);
    fill(*this, random);
    if (seed % 2 == 1) {
        // Several sources in one directory: the last of two files with one name is there.
        for (const char* directory : {"d0/e0", "d1/e0", "d2/e1"}) {
            write(std::string(directory) + "/same", directory);
        }
        sources = {"d0/e0", "d1/e0", "d0", "d2/e1"};
    }
    const layers::LayerId tree = make(std::nullopt);
    for (const auto kind : {layers::Codec::Kind::none, layers::Codec::Kind::gzip, layers::Codec::Kind::zstd}) {
        const layers::LayerId blob = make(layers::Codec{.kind = kind});
        CHECK_FALSE(lease.has_tree(blob));
        CHECK(names(blob) == names(tree));
        CHECK(lease.facts(blob).diff_id == diff_id(tree));
    }
}

TEST_CASE_METHOD(Copy, "it is the same layer whether contents are kept since their checksums or read again") {
    most_kept = GENERATE(0U, 20'000U, 1U << 20);
    keeps = true;
    std::mt19937 random(1);
    fill(*this, random);
    const layers::LayerId packed = make(layers::Codec{});  // first, so that the checksums are not known yet
    const layers::LayerId tree = make(std::nullopt);
    CHECK(names(packed) == names(tree));
    CHECK(lease.facts(packed).diff_id == diff_id(tree));
}

TEST_CASE_METHOD(Copy, "what was kept is packed, whatever becomes of the file meanwhile") {
    keeps = true;
    write("full", "text");
    write("empty", "");
    write("large", std::string(100'000, 'x'));
    const std::string tree = tree_of(make(kPlain, [&] {
        write("full", "other");
        write("empty", "no more");
    }));
    CHECK(util::read_file(tree + "/to/full", 100) == "text");
    CHECK(util::read_file(tree + "/to/empty", 100).empty());
    write("fresh", "text");
    CHECK_THROWS_WITH(make(kPlain, [&] { write("large", std::string(100'000, 'y')); }), Catch::Contains("large"));
}

TEST_CASE("room for contents is bounded, and given back with them") {
    KeptRoom room(10);
    {
        KeptContents one(2, room);
        const auto memory = one.allocate(6);
        REQUIRE(memory.size() == 6);
        std::ranges::fill(memory, std::byte{'x'});
        one.keep(1, memory.first(3));
        CHECK(one.find(1) == "xxx");
        CHECK_FALSE(one.find(0));
        CHECK(one.allocate(5).empty());
        CHECK(KeptContents(1, room).allocate(5).empty());
        CHECK(one.allocate(4).size() == 4);
    }
    CHECK(KeptContents(1, room).allocate(10).size() == 10);
}

TEST_CASE_METHOD(Copy, "a layer that was packed gets the tree that it would have had") {
    write("a/b", "text", 0755);
    link("a/l", "b");
    hard_link("a/c", "a/b");
    const layers::LayerId packed = make(layers::Codec{});
    const std::string tree = tree_of(packed);
    CHECK(util::read_file(tree + "/to/a/c", 100) == "text");
    CHECK(names(packed) == names(make(std::nullopt)));
    CHECK(lease.has_tree(packed));
}

TEST_CASE_METHOD(Copy, "names of one file are one inode, but not with what has taken the place of the first") {
    write("x/f", "aaaa");
    write("y/f", "bbbb");
    write("z/empty", "");
    hard_link("z/g", "x/f");
    sources = {"x/f", "y/f", "z/g"};
    const auto form = GENERATE(std::optional<layers::Codec>(), std::optional(kPlain));
    const std::string tree = tree_of(make(form));
    CHECK(util::read_file(tree + "/to/f", 100) == "bbbb");
    CHECK(util::read_file(tree + "/to/g", 100) == "aaaa");
}

TEST_CASE_METHOD(Copy, "the users of a copied etc/passwd are known in both forms, also if it has another name") {
    write("etc/passwd", "me:x:1:1::/:/bin/sh\n");
    hard_link("etc/group", "etc/passwd");
    destination = "/";
    const auto form = GENERATE(std::optional<layers::Codec>(), std::optional(kPlain));
    const layers::NameIndex made = names(make(form));
    CHECK(made.passwd() == "me:x:1:1::/:/bin/sh\n");
    CHECK(made.group() == made.passwd());
}

TEST_CASE_METHOD(Copy, "a file that changes before it is packed is an error, also if it was empty") {
    const std::string name = GENERATE("full", "empty");
    write("full", "text");
    write("empty", "");
    CHECK_THROWS_WITH(make(kPlain, [&] { write(name, "changed"); }), Catch::Contains(name));
    CHECK_FALSE(store->begin_lease().find_layer(util::Sha256::of("1")));
}

TEST_CASE_METHOD(Copy, "names that were read before somebody else made the tree are read again with it") {
    write("a", "text");
    Layer layer(util::Sha256::of("layer"));
    layer.id = make(kPlain);
    const layers::NameIndex before = *forms.ensure_names(layer, work);
    std::vector<layers::Entry> entries(before.entries().begin(), before.entries().end());
    entries.back().overridden = true;
    const layers::NameIndex theirs(std::move(entries));
    lease.add_tree(*layer.id, lease.begin_layer(), theirs.serialize());
    forms.ensure_tree(layer, work);
    CHECK(*forms.ensure_names(layer, work) == theirs);
    CHECK_FALSE(before == theirs);
}

TEST_CASE("the names of a layer are in order with their directories, the last of each path") {
    const auto file = [](std::string path, const char* text) {
        return PlacedEntry{.entry = {.path = std::move(path), .type = layers::EntryType::file},
                           .content = FromText{text}};
    };
    const auto directory = [](std::string path) {
        return PlacedEntry{.entry = {.path = std::move(path), .type = layers::EntryType::directory}, .content = {}};
    };
    const Placement placement{
        .entries = {file("b/x/2", "first"), directory("b"), file("a-b", ""), file("b/x/2", "second"), file("a/1", ""),
                    file("b/x/10", ""), file("b/x/2", "last"), directory("c/d")},
        .warnings = {}};
    const SourceFiles files({}, 0);
    Strings names;
    for (const FinalEntry& final : final_entries(placement, files, 7)) {
        names.push_back(final.entry.path + (final.entry.implicit ? " implicit" : ""));
        CHECK(final.entry.mtime == 7);
        if (final.entry.path == "b/x/2") CHECK(std::get<FromText>(final.placed->content).text == "last");
    }
    CHECK(names == Strings{" implicit", "a implicit", "a/1", "a-b", "b", "b/x implicit", "b/x/10", "b/x/2",
                           "c implicit", "c/d"});
}
