#include "layers/patch.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <sys/stat.h>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

Entry external(std::string path, std::string target) {
    Entry out{.path = std::move(path), .type = EntryType::hardlink, .link_target = std::move(target)};
    out.external = true;
    return out;
}

std::string paths_of(const std::vector<PatchItem>& plan) {
    std::string out;
    for (const PatchItem& item : plan) out += item.entry.path + " ";
    return out;
}

}  // namespace

TEST_CASE("layers that describe their directories need no patch") {
    CHECK(plan_patch(ChainView()).empty());
    CHECK(plan_patch(ChainView({layer({directory("d", 01777)}), layer({directory("d"), file("d/a")})})).empty());
    CHECK(plan_patch(ChainView({layer({file("x")}), layer({implied(""), implied("new"), file("new/a")})})).empty());
}

TEST_CASE("a directory that the newest layer leaves implicit is described by the patch") {
    const ChainView view(
        {layer({directory("d", 01777), directory("d/e", 0700)}), layer({implied("d"), implied("d/e"), file("d/e/a")})});
    const auto plan = plan_patch(view);
    CHECK(paths_of(plan) == "d d/e ");
    CHECK(plan[0].entry.mode == 01777);
    CHECK_FALSE(plan[0].entry.implicit);
}

TEST_CASE("a file linked across layers is in the patch under all its names") {
    const ChainView view({layer({directory("a", 0700),
                                 file("a/f", 3),
                                 {.path = "a/g", .type = EntryType::hardlink, .size = 3, .link_target = "a/f"}}),
                          layer({external("h", "a/f")})});
    const auto plan = plan_patch(view);
    CHECK(paths_of(plan) == "a a/f a/g h ");
    CHECK(plan[0].entry.mode == 0700);
    CHECK(plan[1].content == PatchItem::Content{.layer = 0, .path = "a/f"});
    CHECK(plan[2].entry.link_target == "a/f");
    CHECK(plan[3].entry.type == EntryType::hardlink);
}

TEST_CASE("a linked file whose first name is gone lives on under the other") {
    const ChainView view({layer({file("f", 3)}), layer({whiteout("f"), external("h", "f")})});
    const auto plan = plan_patch(view);
    REQUIRE(plan.size() == 1);
    CHECK(plan[0].entry.path == "h");
    CHECK(plan[0].entry.type == EntryType::file);
    CHECK(plan[0].content == PatchItem::Content{.layer = 0, .path = "f"});
}

TEST_CASE("a link that a newer layer replaced needs no patch") {
    CHECK(plan_patch(ChainView({layer({file("f", 3)}), layer({external("h", "f")}), layer({file("h", 1)})})).empty());
}

TEST_CASE("a visible hard link to nothing is refused") {
    const ChainView view({layer({file("f", 3)}), layer({external("h", "nothing")})});
    CHECK_THROWS_AS(plan_patch(view), CorruptData);
}

TEST_CASE("names behind a link of a lower layer are put where it leads, and the link is put back") {
    const ChainView view({layer({directory("usr", 0711), directory("usr/lib"), soft_link("lib", "usr/lib")}),
                          layer({implied("lib"), file("lib/b", 3)})});
    const auto plan = plan_patch(view);
    CHECK(paths_of(plan) == "lib usr usr/lib usr/lib/b ");
    CHECK(plan[0].entry.type == EntryType::symlink);
    CHECK(plan[1].entry.mode == 0711);
    CHECK(plan[3].content == PatchItem::Content{.layer = 1, .path = "lib/b"});
}

TEST_CASE("a whiteout behind a link is put where it leads only if a tree has something there") {
    const auto top = layer({implied("lib"), implied("lib/new"), whiteout("lib/new/a"), whiteout("lib/old")});
    const ChainView view(
        {layer({directory("usr"), directory("usr/lib"), file("usr/lib/old"), soft_link("lib", "usr/lib")}), top});
    CHECK(paths_of(plan_patch(view)) == "lib usr usr/lib usr/lib/new usr/lib/old ");
}

TEST_CASE("a plan is carried out with metadata and contents") {
    Tree lower;
    Tree upper;
    TreeWriter lower_writer(lower.root());
    util::MemorySource text("abc");
    lower_writer.add(directory("d", 01777));
    lower_writer.add_file(file("d/f", 3), text);
    TreeWriter upper_writer(upper.root());
    upper_writer.add({.path = "d/h", .type = EntryType::hardlink, .link_target = "d/f"});
    const ChainView view({std::make_shared<const NameIndex>(lower_writer.finish()),
                          std::make_shared<const NameIndex>(upper_writer.finish())});

    Tree patch;
    TreeWriter writer(patch.root());
    const auto plan = plan_patch(view);
    std::vector<util::RootedDir> trees;
    trees.push_back(lower.root().duplicate());
    trees.push_back(upper.root().duplicate());
    write_patch(plan, trees, writer);
    writer.finish();
    CHECK(patch.read("d/h") == "abc");
    CHECK((patch.root().stat("d", Follow::no)->st_mode & 07777U) == 01777);
    CHECK(patch.root().stat("d/f", Follow::no)->st_ino == patch.root().stat("d/h", Follow::no)->st_ino);
}
