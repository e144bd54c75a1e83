#include "layers/chain_view.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

std::string names_in(const ChainView& view, std::string_view path) {
    std::string out;
    for (const Found& child : view.children(path)) {
        if (!out.empty()) out += ' ';
        out += base_name(child.entry->path);
    }
    return out;
}

}  // namespace

TEST_CASE("scratch has a root and nothing else") {
    const ChainView view;
    CHECK(view.find("")->entry->implicit);
    CHECK_FALSE(view.find("a").has_value());
    CHECK(view.children("").empty());
    CHECK_FALSE(view.passwd().has_value());
}

TEST_CASE("the newest layer that has a name decides") {
    const ChainView view(
        {layer({directory("d"), file("d/a", 1), file("d/b", 1)}), layer({directory("d", 0700), file("d/b", 2)})});
    CHECK(view.find("d/a")->layer == 0);
    CHECK(view.find("d/b")->layer == 1);
    CHECK(view.find("d")->entry->mode == 0700);
    CHECK(names_in(view, "d") == "a b");
}

TEST_CASE("a whiteout hides a name and all below it, until a newer layer makes it again") {
    const auto base = layer({directory("d"), file("d/a"), file("x")});
    const ChainView gone({base, layer({whiteout("d"), whiteout("x")})});
    CHECK_FALSE(gone.find("d").has_value());
    CHECK_FALSE(gone.find("d/a").has_value());
    CHECK(names_in(gone, "").empty());
    const ChainView again({base, layer({whiteout("d")}), layer({directory("d"), file("d/b")})});
    CHECK(names_in(again, "d") == "b");
}

TEST_CASE("an opaque directory hides what lower layers have in it") {
    const ChainView view({layer({directory("d"), file("d/a")}), layer({opaque(directory("d")), file("d/b")}),
                          layer({directory("d"), file("d/c")})});
    CHECK(names_in(view, "d") == "b c");
    CHECK_FALSE(view.find("d/a").has_value());
}

TEST_CASE("a change of type hides what was there") {
    const auto dir = layer({directory("d"), file("d/a")});
    CHECK_FALSE(ChainView({dir, layer({file("d")})}).find("d/a").has_value());
    CHECK_FALSE(ChainView({dir, layer({file("d")}), layer({directory("d")})}).find("d/a").has_value());
    CHECK(ChainView({dir, layer({soft_link("d", "e")})}).find("d")->entry->type == EntryType::symlink);
}

TEST_CASE("an implicit directory is described by the layers below") {
    const ChainView view({layer({directory("d", 01777)}), layer({implied("d"), file("d/a")})});
    CHECK(view.find("d")->entry->mode == 01777);
    CHECK(view.find("d")->layer == 0);
    CHECK(names_in(view, "d") == "a");
}

TEST_CASE("an opaque mark on an implicit directory is about its contents only") {
    const ChainView view({layer({directory("d", 01777), file("d/old")}), layer({opaque(implied("d")), file("d/new")})});
    CHECK(view.find("d")->entry->mode == 01777);
    CHECK(names_in(view, "d") == "new");
}

TEST_CASE("an implicit directory over a file or a whiteout is a new one") {
    const ChainView over_file({layer({file("d")}), layer({implied("d"), file("d/a")})});
    CHECK(over_file.find("d")->entry->implicit);
    const ChainView over_whiteout(
        {layer({directory("d", 0700)}), layer({whiteout("d")}), layer({implied("d"), file("d/a")})});
    CHECK(over_whiteout.find("d")->entry->implicit);
}

TEST_CASE("links are followed inside the root") {
    const ChainView view(
        {layer({directory("usr"), directory("usr/bin"), file("usr/bin/sh"), soft_link("bin", "usr/bin"),
                soft_link("abs", "/bin/../bin"), soft_link("up", "../../../usr"), soft_link("dangling", "no/where")})});
    CHECK(view.resolve("bin/sh", Follow::no).path == "usr/bin/sh");
    CHECK(view.resolve("/abs/sh", Follow::yes).path == "usr/bin/sh");
    CHECK(view.resolve("up/bin", Follow::yes).path == "usr/bin");
    CHECK(view.resolve("bin", Follow::no).path == "bin");
    CHECK(view.resolve("bin", Follow::yes).path == "usr/bin");
    CHECK(view.resolve("bin/..", Follow::yes).path == "usr");
    CHECK(view.resolve("../../..", Follow::yes).path.empty());
    const auto missing = view.resolve("dangling/a/../b", Follow::yes);
    CHECK(missing.path == "no/where/b");
    CHECK_FALSE(missing.found.has_value());
}

TEST_CASE("a loop of links is an error and not a loop") {
    const ChainView view({layer({soft_link("a", "b"), soft_link("b", "a")})});
    CHECK_THROWS_WITH(view.resolve("a/x", Follow::yes), Catch::Contains("too many symbolic links"));
    CHECK(view.resolve("a", Follow::no).found.has_value());
}

TEST_CASE("names that go through a link of a lower layer are where it leads") {
    const ChainView view(
        {layer({directory("usr"), directory("usr/lib"), file("usr/lib/a"), soft_link("lib", "usr/lib")}),
         layer({implied("lib"), file("lib/b"), implied("lib/sub"), file("lib/sub/c")})});
    CHECK(view.find("lib")->entry->type == EntryType::symlink);
    CHECK(names_in(view, "usr/lib") == "a b sub");
    const auto found = view.find("usr/lib/sub/c");
    REQUIRE(found.has_value());
    CHECK(found->layer == 1);
    CHECK(view.tree_path(*found) == "lib/sub/c");
}

TEST_CASE("a link with several names leads the way under each of them") {
    const Entry second{.path = "z", .type = EntryType::hardlink, .link_target = "lib"};
    Entry third{.path = "o", .type = EntryType::hardlink, .link_target = "z"};
    third.external = true;
    const ChainView view({layer({directory("usr"), directory("usr/lib"), soft_link("lib", "usr/lib"), second}),
                          layer({third}), layer({implied("z"), file("z/a"), implied("o"), file("o/b")})});
    CHECK(names_in(view, "usr/lib") == "a b");
    CHECK(view.resolve("o/a", Follow::yes).path == "usr/lib/a");
    CHECK(view.resolve("z", Follow::no).path == "z");
}

TEST_CASE("a link of a lower layer is not in the way where the layer hides what is below") {
    const auto below = layer({directory("d"), directory("d/a"), soft_link("d/a/c", "."), soft_link("to", "d")});
    const auto hides = GENERATE(as<std::string>{}, "d", "d/a", "");
    std::vector<Entry> entries;
    for (const std::string path : {"d", "d/a"})
        entries.push_back(path == hides ? opaque(directory(path)) : implied(path));
    if (hides.empty()) entries.insert(entries.begin(), opaque(directory("")));
    entries.push_back(implied("d/a/c"));
    entries.push_back(file("d/a/c/a"));
    const ChainView view({below, layer(entries)});
    CHECK(view.find("d/a/c")->entry->type == EntryType::directory);
    CHECK(view.find("d/a/c/a").has_value());
    CHECK_FALSE(view.find("d/a/a").has_value());
}

TEST_CASE("where a link of a lower layer leads, the layer's own word counts") {
    const auto below = layer({soft_link("b", "/b"), soft_link("d", "/b"), directory("e"), file("e/below")});
    const auto [own, where] = GENERATE(table<Entry, std::string>({
        {directory("b"), "b/f"},       // in place of a link that led nowhere
        {soft_link("b", "e"), "e/f"},  // another link
        {whiteout("b"), "b/f"},        // nothing: a directory is made
        {file("b"), "b/f"},            // likewise
        {soft_link("b", "/x/y"), "x/y/f"},
    }));
    CAPTURE(own.path, where);
    const ChainView view({below, layer({own, implied("d"), file("d/f")})});
    CHECK(view.find("d")->entry->type == EntryType::symlink);
    REQUIRE(view.find(where).has_value());
    CHECK(view.tree_path(*view.find(where)) == "d/f");
    CHECK(view.find("e/below").has_value());
}

TEST_CASE("a name that is moved to where its layer has a whiteout is there, and nothing of what was below") {
    const auto below = layer({soft_link("l", "d"), directory("d"), directory("d/x"), file("d/x/below"), file("d/y")});
    const ChainView view({below, layer({implied("l"), implied("l/x"), file("l/x/f"), file("l/y", 3), implied("d"),
                                        whiteout("d/x"), whiteout("d/y")})});
    CHECK(view.find("d/x/f").has_value());
    CHECK_FALSE(view.find("d/x/below").has_value());
    REQUIRE(view.find("d/y").has_value());
    CHECK(view.find("d/y")->entry->size == 3);
    CHECK(view.tree_path(*view.find("d/y")) == "l/y");
}

TEST_CASE("a link that leads through another directory that the layer leaves implicit goes on in what is below") {
    const auto below = layer({soft_link("lib", "usr/lib"), soft_link("usr", "system"), directory("system"),
                              directory("system/lib"), file("system/lib/below")});
    const bool hides = GENERATE(false, true);
    Entry usr = implied("usr");
    usr.opaque = hides;
    const ChainView view({below, layer({implied("lib"), file("lib/f"), usr, file("usr/g")})});
    CHECK(view.find("system/lib/f").has_value());
    CHECK(view.find("system/g").has_value());
    CHECK(view.find("system/lib/below").has_value() != hides);
}

TEST_CASE("a described directory replaces a link of a lower layer") {
    const ChainView view({layer({soft_link("lib", "usr/lib")}), layer({directory("lib"), file("lib/b")})});
    CHECK(view.find("lib")->entry->type == EntryType::directory);
    CHECK(view.find("lib/b").has_value());
}

TEST_CASE("a hard link leads to its file, in its layer or below") {
    Entry inner{.path = "h", .type = EntryType::hardlink, .size = 3, .link_target = "f"};
    Entry outer{.path = "o", .type = EntryType::hardlink, .link_target = "h"};
    outer.external = true;
    const ChainView view({layer({file("f", 3), inner}), layer({outer, file("f", 9)})});
    const Found file = view.inode(*view.find("o"));
    CHECK(file.layer == 0);
    CHECK(file.entry->path == "f");
    CHECK(file.entry->size == 3);
}

TEST_CASE("a hard link to nothing is an error that names both") {
    Entry link{.path = "o", .type = EntryType::hardlink, .link_target = "missing"};
    link.external = true;
    const ChainView view({layer({file("f")}), layer({link})});
    CHECK_THROWS_WITH(view.inode(*view.find("o")), Catch::Contains("'o'") && Catch::Contains("'missing'"));
}

TEST_CASE("users are those of the newest passwd file that one sees") {
    const auto users = [](std::string text) {
        return std::make_shared<const NameIndex>(std::vector<Entry>{directory("etc"), file("etc/passwd", text.size())},
                                                 text, std::nullopt);
    };
    CHECK(ChainView({users("old"), users("new")}).passwd() == "new");
    CHECK(ChainView({users("old"), layer({file("x")})}).passwd() == "old");
    CHECK_FALSE(ChainView({users("old"), layer({whiteout("etc")})}).passwd().has_value());
}
