#include "layers/name_index.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

NameIndex sample() {
    Entry odd = file("usr/\xff\n", 1'234'567'890'123);
    odd.mtime = -5;
    odd.uid = 4'000'000'000U;
    odd.xattrs = {{"user.a", std::string("\0x", 2)}, {"user.b", ""}};
    Entry link{.path = "usr/z", .type = EntryType::hardlink, .size = odd.size, .link_target = odd.path};
    Entry device{.path = "dev", .type = EntryType::block_device, .dev_major = 8, .dev_minor = 1};
    device.overridden = true;
    Entry below{.path = "usr-b", .type = EntryType::hardlink, .link_target = "somewhere/else"};
    below.external = true;
    return NameIndex({opaque(directory("usr", 01777)), implied(""), odd, link, device, below, whiteout("gone"),
                      soft_link("usr/link", "/x")},
                     "root:x:0:0::/root:/bin/sh\n", "");
}

std::string code_of(const std::function<void()>& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.code();
    }
    return "(no error)";
}

}  // namespace

TEST_CASE("an index finds names, what is in a directory, and what is directly in it") {
    const NameIndex names({directory("a"), file("a/x"), directory("a/b"), file("a/b/c"), file("a-b"), file("z")});
    CHECK(names.find("a/b/c") != nullptr);
    CHECK(names.find("a/c") == nullptr);
    CHECK(names.find("") == nullptr);
    CHECK(names.descendants("a").size() == 3);
    CHECK(names.descendants("").size() == 6);
    CHECK(names.descendants("a-b").empty());
    const auto children = names.children("a");
    REQUIRE(children.size() == 2);
    CHECK(children[0]->path == "a/b");
    CHECK(children[1]->path == "a/x");
    CHECK(names.children("").size() == 3);
}

TEST_CASE("an index comes back from its bytes as it was") {
    const NameIndex names = sample();
    CHECK(NameIndex::parse(names.serialize()) == names);
    CHECK(NameIndex::parse(NameIndex().serialize()) == NameIndex());
}

TEST_CASE("no changed or missing byte of an index goes unnoticed") {
    const std::string bytes = sample().serialize();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
        CHECK_THROWS_AS(NameIndex::parse(damaged), CorruptData);
        CHECK_THROWS_AS(NameIndex::parse(bytes.substr(0, i)), CorruptData);
    }
}

TEST_CASE("bytes with a right checksum are still judged") {
    const auto body =
        GENERATE(as<std::string>{}, "imgnames\x02", "imgnames\x01\xff\xff\xff\xff\x0f",
                 std::string("imgnames\x01\x01\x05", 11), std::string("imgnames\x01\x80\x00\x00\x00", 13),
                 std::string("imgnames\x01\x00\x02\x00", 12), std::string("imgnames\x01\x00\x00\x00\x00", 13));
    const Digest digest = util::Sha256::of(body);
    std::string bytes = body;
    for (const std::uint8_t byte : digest.bytes()) bytes += static_cast<char>(byte);
    CHECK(code_of([&] { NameIndex::parse(bytes); }) == "corrupt.names");
}

TEST_CASE("an index refuses names that no layer can have") {
    const auto path = GENERATE(as<std::string>{}, "/a", "a/", "a//b", "..", "a/../b", "./a", std::string("a\0b", 3));
    CHECK(code_of([&] { NameIndex({directory("a"), file(path)}); }) == "corrupt.names");
}

TEST_CASE("a name that would read as a whiteout is refused with a way out") {
    CHECK(code_of([] { NameIndex({file(".wh.x")}); }) == "layers.reserved-name");
    CHECK(code_of([] { NameIndex({directory(".wh.d"), file(".wh.d/x")}); }) == "layers.reserved-name");
}

TEST_CASE("an index refuses what does not hang together") {
    CHECK(code_of([] { NameIndex({file("a"), file("a")}); }) == "corrupt.names");
    CHECK(code_of([] { NameIndex({file("a/b")}); }) == "corrupt.names");
    CHECK(code_of([] { NameIndex({file("a"), file("a/b")}); }) == "corrupt.names");
    CHECK(code_of([] { NameIndex({file("")}); }) == "corrupt.names");
    CHECK(code_of([] { NameIndex({opaque(file("a"))}); }) == "corrupt.names");
    CHECK(code_of([] { NameIndex({{.path = "a", .type = EntryType::hardlink, .link_target = "b"}}); }) ==
          "corrupt.names");
}
