#include "layers/unpack.hpp"

#include <imgbuild/error.hpp>

#include "layers/codec.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <sys/stat.h>
#include <algorithm>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

UnpackResult unpack(std::string_view tar, const Tree& tree) {
    util::MemorySource source(tar);
    return unpack_layer(source, tree.root());
}

std::string code_of(const std::string& tar) {
    Tree tree;
    try {
        unpack(tar, tree);
    } catch (const Error& error) {
        return error.code();
    }
    return "(no error)";
}

bool is_whiteout(const Tree& tree, std::string_view path) {
    const auto status = tree.root().stat(path, Follow::no);
    return status && S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

}  // namespace

TEST_CASE("the diff id is that of all bytes of the tar, however it is compressed") {
    const std::string tar =
        raw_tar({{.name = "f", .content = "abc"}}) + std::string(5000, '\0') + "garbage after the end";
    const auto kind = GENERATE(Codec::Kind::none, Codec::Kind::gzip, Codec::Kind::zstd);
    const auto blob = compress_block({.kind = kind}, util::as_bytes(tar));
    Tree tree;
    const UnpackResult out = unpack({reinterpret_cast<const char*>(blob.data()), blob.size()}, tree);
    CHECK(out.diff_id.digest() == util::Sha256::of(tar));
    CHECK(out.tar_size == tar.size());
    CHECK(tree.read("f") == "abc");
}

TEST_CASE("whiteouts become overlay's own marks") {
    Tree tree;
    const auto out = unpack(raw_tar({{.name = "d/", .type = '5'},
                                     {.name = "d/.wh.x", .mtime = 5},
                                     {.name = "e/.wh..wh..opq"},
                                     {.name = "e/f"}}),
                            tree);
    CHECK(is_whiteout(tree, "d/x"));
    CHECK(out.names.find("d/x")->type == EntryType::whiteout);
    CHECK(out.names.find("d/x")->mtime == 5);
    CHECK(out.names.find("e")->opaque);
    CHECK(out.names.find("e")->implicit);
}

TEST_CASE("a whiteout in the same layer as its parent directory wins, in any order") {
    std::vector<RawHeader> headers{
        {.name = "d/", .type = '5', .mode = 0700}, {.name = "d/.wh.x"}, {.name = "d/y", .content = "y"}};
    const auto by_name = [](const RawHeader& a, const RawHeader& b) { return a.name < b.name; };
    std::sort(headers.begin(), headers.end(), by_name);
    do {
        Tree tree;
        const auto out = unpack(raw_tar(headers), tree);
        CHECK(is_whiteout(tree, "d/x"));
        CHECK(out.names.find("d")->mode == 0700);
        CHECK(tree.read("d/y") == "y");
    } while (std::next_permutation(headers.begin(), headers.end(), by_name));
}

TEST_CASE("a deleted directory that the layer makes again is opaque, in any order") {
    std::vector<RawHeader> headers{{.name = "d/", .type = '5', .mode = 0700},
                                   {.name = "d/.wh.x"},
                                   {.name = "d/y", .content = "y"},
                                   {.name = ".wh.d"}};
    const auto by_name = [](const RawHeader& a, const RawHeader& b) { return a.name < b.name; };
    std::sort(headers.begin(), headers.end(), by_name);
    do {
        Tree tree;
        const auto out = unpack(raw_tar(headers), tree);
        CHECK(out.names.find("d")->opaque);
        CHECK(out.names.find("d")->mode == 0700);
        CHECK(tree.read("d/y") == "y");
        // In an opaque directory a whiteout would be shown as a broken file.
        CHECK_FALSE(tree.root().stat("d/x", Follow::no).has_value());
    } while (std::next_permutation(headers.begin(), headers.end(), by_name));
}

TEST_CASE("a whiteout hides only lower layers, so a file of the same name stays") {
    const auto swapped = GENERATE(false, true);
    std::vector<RawHeader> headers{{.name = ".wh.f"}, {.name = "f", .content = "new"}};
    if (swapped) std::swap(headers[0], headers[1]);
    Tree tree;
    unpack(raw_tar(headers), tree);
    CHECK(tree.read("f") == "new");
}

TEST_CASE("a directory that is deleted and made again without a description is a new one") {
    const auto swapped = GENERATE(false, true);
    std::vector<RawHeader> headers{{.name = ".wh.d"}, {.name = "d/f"}};
    if (swapped) std::swap(headers[0], headers[1]);
    Tree tree;
    const auto out = unpack(raw_tar(headers), tree);
    CHECK(out.names.find("d")->opaque);
    CHECK_FALSE(out.names.find("d")->implicit);
}

TEST_CASE("an opaque mark may come before or after its directory and its files") {
    std::vector<RawHeader> headers{
        {.name = "d/.wh..wh..opq"}, {.name = "d/", .type = '5'}, {.name = "d/f", .content = "f"}};
    const auto by_name = [](const RawHeader& a, const RawHeader& b) { return a.name < b.name; };
    std::sort(headers.begin(), headers.end(), by_name);
    do {
        Tree tree;
        CHECK(unpack(raw_tar(headers), tree).names.find("d")->opaque);
        CHECK(tree.read("d/f") == "f");
    } while (std::next_permutation(headers.begin(), headers.end(), by_name));
}

TEST_CASE("names of aufs are left out") {
    Tree tree;
    const auto out = unpack(
        raw_tar({{.name = ".wh..wh.plnk/", .type = '5'}, {.name = ".wh..wh.plnk/7.3"}, {.name = ".wh..wh.aufs"}}),
        tree);
    CHECK(out.names.empty());
}

TEST_CASE("hostile layers are refused") {
    const auto [what, headers] = GENERATE(table<std::string, std::vector<RawHeader>>({
        {"bare .wh.", {{.name = "d/.wh."}}},
        {"whiteout of .", {{.name = ".wh.."}}},
        {"whiteout of ..", {{.name = "d/.wh..."}}},
        {"file in a whiteout", {{.name = ".wh.d/x"}}},
        {"..", {{.name = "a/../../x"}}},
        {"absolute", {{.name = "/etc/passwd"}}},
        {"hard link outside", {{.name = "h", .type = '1', .link = "../x"}}},
        {"link loop", {{.name = "a", .type = '2', .link = "a"}, {.name = "a/x"}}},
        {"file as a directory", {{.name = "a"}, {.name = "a/x"}}},
        {"hard link to a directory", {{.name = "a/", .type = '5'}, {.name = "h", .type = '1', .link = "a"}}},
    }));
    INFO(what);
    CHECK(code_of(raw_tar(headers)) == "corrupt.archive");
}

TEST_CASE("a link and then a file through it stays inside the tree") {
    Tree outside;
    for (const std::string& target : {outside.path(), "../../../../../../.." + outside.path()}) {
        Tree tree;
        const auto out =
            unpack(raw_tar({{.name = "l", .type = '2', .link = target}, {.name = "l/f", .content = "x"}}), tree);
        CHECK_FALSE(outside.root().stat("f", Follow::no).has_value());
        CHECK(out.names.find(outside.path().substr(1) + "/f") != nullptr);
    }
}

TEST_CASE("a link that takes a directory's place does not take what comes after it elsewhere") {
    Tree outside;
    Tree tree;
    unpack(raw_tar({{.name = "d/", .type = '5'},
                    {.name = "d/a", .content = "a"},
                    {.name = "d", .type = '2', .link = outside.path()},
                    {.name = "d/b", .content = "b"}}),
           tree);
    CHECK_FALSE(outside.root().stat("b", Follow::no).has_value());
    CHECK(tree.read(outside.path() + "/b") == "b");
}

TEST_CASE("a hard link through a link of the layer finds its file") {
    Tree tree;
    const auto out = unpack(raw_tar({{.name = "usr/f", .content = "f"},
                                     {.name = "l", .type = '2', .link = "usr"},
                                     {.name = "h", .type = '1', .link = "l/f"}}),
                            tree);
    CHECK_FALSE(out.names.find("h")->external);
    CHECK(tree.read("h") == "f");
}

TEST_CASE("devices and owners are kept") {
    Tree tree;
    const auto out =
        unpack(raw_tar({{.name = "null", .type = '3', .uid = 5, .gid = 6, .dev_major = 1, .dev_minor = 3}}), tree);
    const Entry* entry = out.names.find("null");
    CHECK(entry->dev_major == 1);
    CHECK(entry->dev_minor == 3);
    CHECK(entry->uid == 5);
    const auto status = tree.root().stat("null", Follow::no);
    CHECK((S_ISCHR(status->st_mode) || entry->overridden));
}

TEST_CASE("deep nesting is a matter of the path's length only") {
    const auto nested = [](int depth) {
        std::string name;
        for (int i = 0; i < depth; ++i) name += "dddd/";
        return raw_pax(pax_record("path", name)) + raw_entry({.name = "x", .type = '5'}) + std::string(1024, '\0');
    };
    CHECK(code_of(nested(800)) == "(no error)");
    CHECK(code_of(nested(820)) == "corrupt.archive-limit");
}
