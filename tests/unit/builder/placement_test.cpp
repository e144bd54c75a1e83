#include "builder/ops/placement.hpp"

#include "builder/context/local_tree.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <fmt/format.h>

using namespace imgbuild;
using namespace imgbuild::builder;
using layers::Entry;
using layers::EntryType;

namespace {

using Strings = std::vector<std::string>;

Entry directory(std::string path) {
    return {.path = std::move(path), .type = EntryType::directory, .mode = 0755};
}
Entry soft_link(std::string path, std::string target) {
    return {.path = std::move(path), .type = EntryType::symlink, .mode = 0777, .link_target = std::move(target)};
}
Entry plain_file(std::string path) {
    return {.path = std::move(path), .type = EntryType::file, .mode = 0644};
}

/// A base of one layer, which knows the user dev and the group users.
layers::ChainView base_of(std::vector<Entry> entries) {
    for (const char* name : {"etc/passwd", "etc/group"}) entries.push_back(plain_file(name));
    entries.push_back(directory("etc"));
    return layers::ChainView({std::make_shared<const layers::NameIndex>(
        std::move(entries), "dev:x:1000:100::/home/dev:/bin/sh\n", "users:x:100:\n")});
}

bool never_archive(std::size_t, const SourceFileInfo&) {
    return false;
}

/// "d 755 0:0 path": type, mode, owner and path of each entry.
Strings told(const Placement& placement) {
    constexpr std::string_view kTypes = "fdlhpcbw";
    Strings out;
    for (const PlacedEntry& placed : placement.entries) {
        const Entry& entry = placed.entry;
        out.push_back(fmt::format("{} {:o} {}:{} {}", kTypes.at(static_cast<std::size_t>(entry.type)), entry.mode,
                                  entry.uid, entry.gid, entry.path));
    }
    return out;
}

/// Of one action that copies nothing.
const std::vector<Selection> kNothing(1);

struct PlacementFixture {
    test::Directory directory_of_user;
    /// What the latest placement refers to.
    mutable std::vector<Selection> selections;

    PlacementFixture() {
        directory_of_user.write("a", "text");
        directory_of_user.write("run", "", 0755);
        directory_of_user.write("src/main.c", "");
        directory_of_user.write("src/lib/b.c", "");
    }

    Placement place(CopyFiles copy, const layers::ChainView& base = {}) const {
        const LocalTree tree(util::RootedDir::open(directory_of_user.path()), {}, "");
        selections = {select_files(tree, copy)};
        return place_files({.actions = {std::move(copy)}}, selections, base, base, never_archive);
    }
    Strings copy(Strings sources, std::string destination, const layers::ChainView& base = {}) const {
        return told(place({.from = 0, .sources = std::move(sources), .destination = std::move(destination)}, base));
    }
    std::string refusal(Strings sources, std::string destination, const layers::ChainView& base) const {
        return test::error_code([&] { copy(std::move(sources), std::move(destination), base); });
    }
};

}  // namespace

TEST_CASE_METHOD(PlacementFixture, "a file goes to the name that the destination is") {
    CHECK(copy({"a"}, "/b") == Strings{"f 644 0:0 b"});
}

TEST_CASE_METHOD(PlacementFixture, "a file keeps its name in a destination that is a directory") {
    CHECK(copy({"a"}, "/", {}) == Strings{"f 644 0:0 a"});
    CHECK(copy({"a"}, "/opt", base_of({directory("opt")})) == Strings{"f 644 0:0 opt/a"});
}

TEST_CASE_METHOD(PlacementFixture, "parents are made where they are missing and not written where they exist") {
    CHECK(copy({"a"}, "/opt/x/") == Strings{"d 755 0:0 opt", "d 755 0:0 opt/x", "f 644 0:0 opt/x/a"});
    CHECK(copy({"a"}, "/opt/x/", base_of({directory("opt")})) == Strings{"d 755 0:0 opt/x", "f 644 0:0 opt/x/a"});
}

TEST_CASE_METHOD(PlacementFixture, "of a directory its contents are copied") {
    CHECK(copy({"src"}, "/dst") ==
          Strings{"d 755 0:0 dst", "d 755 0:0 dst/lib", "f 644 0:0 dst/lib/b.c", "f 644 0:0 dst/main.c"});
}

TEST_CASE_METHOD(PlacementFixture, "links of the base are followed on the way to a destination") {
    const layers::ChainView base = base_of(
        {directory("usr"), directory("usr/bin"), soft_link("bin", "usr/bin"), soft_link("out", "../../../usr")});
    CHECK(copy({"a"}, "/bin/", base) == Strings{"f 644 0:0 usr/bin/a"});
    CHECK(copy({"a"}, "/out/b", base) == Strings{"f 644 0:0 usr/b"});
}

TEST_CASE_METHOD(PlacementFixture, "a destination that is a link to a file is written through it") {
    const layers::ChainView base = base_of({plain_file("real"), soft_link("link", "real")});
    CHECK(copy({"a"}, "/link", base) == Strings{"f 644 0:0 real"});
}

TEST_CASE_METHOD(PlacementFixture, "a file is no directory and a directory no file") {
    const layers::ChainView base = base_of({plain_file("file"), directory("dir"), directory("dir/a")});
    CHECK(refusal({"a"}, "/file/", base) == "build.bad-destination");
    CHECK(refusal({"a"}, "/file/b", base) == "build.bad-destination");
    CHECK(refusal({"src"}, "/file", base) == "build.bad-destination");
    CHECK(refusal({"a"}, "/dir", base) == "build.bad-destination");
}

TEST_CASE_METHOD(PlacementFixture, "an owner is looked up in the base, and counts for directories that are made") {
    const auto [owner, text] = GENERATE(table<std::string, std::string>({
        {"dev", "1000:100"},
        {"1000", "1000:1000"},
        {"7", "7:7"},
    }));
    const Placement placement =
        place({.from = 0, .sources = {"a"}, .destination = "/n/", .owner = OwnerText{.user = owner, .group = {}}},
              base_of({}));
    CHECK(told(placement) == Strings{"d 755 " + text + " n", "f 644 " + text + " n/a"});
}

TEST_CASE_METHOD(PlacementFixture, "a group is looked up in the base") {
    CHECK(resolve_owner({.user = "dev", .group = "users"}, base_of({})) == std::pair(1000U, 100U));
    CHECK(test::error_code([] { resolve_owner({.user = "dev", .group = "x"}, base_of({})); }) == "build.unknown-group");
    CHECK(test::error_code([] { resolve_owner({.user = "dev", .group = {}}, {}); }) == "build.unknown-user");
}

TEST_CASE_METHOD(PlacementFixture, "a mode counts for files and for directories that are made, less the special bits") {
    const auto [mode, expected] = GENERATE(table<std::string, Strings>({
        {"4750", {"d 750 0:0 n", "f 4750 0:0 n/a", "f 4750 0:0 n/run"}},
        {"go-r", {"d 711 0:0 n", "f 600 0:0 n/a", "f 711 0:0 n/run"}},
    }));
    CHECK(told(place({.from = 0, .sources = {"a", "run"}, .destination = "/n/", .owner = {}, .mode = mode})) ==
          expected);
}

TEST_CASE_METHOD(PlacementFixture, "a wildcard that matches nothing does not even make the destination") {
    CHECK(copy({"*.none"}, "/n/").empty());
}

TEST_CASE_METHOD(PlacementFixture, "several files to one name are a warning, and the last is there") {
    const Placement placement = place({.from = 0, .sources = {"a", "run"}, .destination = "/n"});
    CHECK(placement.warnings.size() == 1);
    CHECK(told(placement).back() == "f 755 0:0 n");
}

TEST_CASE("a directory that exists is not made again, whoever would own it") {
    const File file{.actions = {MakeDirectory{.path = "/w", .owner = OwnerText{.user = "ghost", .group = {}}}}};
    const layers::ChainView base = base_of({directory("w")});
    CHECK(place_files(file, kNothing, base, base, never_archive).entries.empty());
    CHECK(test::error_code([&] { place_files(file, kNothing, {}, {}, never_archive); }) == "build.unknown-user");
}

TEST_CASE("a heredoc becomes a file with the text and mode 644") {
    const File file{.actions = {MakeFile{.name = "EOF", .destination = "/d/", .content = "text"}}};
    const Placement placement = place_files(file, kNothing, {}, {}, never_archive);
    CHECK(told(placement) == Strings{"d 755 0:0 d", "f 644 0:0 d/EOF"});
    CHECK(std::get<FromText>(placement.entries.back().content).text == "text");
}

TEST_CASE("a layer that stands on nothing may belong to somebody of another file system") {
    const File file{
        .actions = {MakeFile{
            .name = "EOF", .destination = "/d/", .content = "", .owner = OwnerText{.user = "dev", .group = "users"}}}};
    CHECK(told(place_files(file, kNothing, {}, base_of({directory("d")}), never_archive)) ==
          Strings{"d 755 1000:100 d", "f 644 1000:100 d/EOF"});
}
