#include "layers/layer_files.hpp"

#include <imgbuild/error.hpp>

#include "layers/pack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fcntl.h>
#include <array>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

util::Fd write_file(const Tree& place, const std::string& text) {
    util::Fd fd = util::open_at(place.root().fd(), "tar", O_RDWR | O_CREAT | O_TRUNC, 0600);
    util::write_all(fd.get(), util::as_bytes(text), "tar");
    return fd;
}

std::string read(const LayerFiles& files, const Entry& entry) {
    const OpenContent content = files.open(entry.path);
    ContentSource source(content.extent(), entry.path, entry.size);
    util::StringSink out;
    util::copy(source, out);
    return out.take();
}

std::string copy(const LayerFiles& files, const Entry& entry) {
    const Tree place;
    const util::Fd to = util::open_at(place.root().fd(), "copy", O_WRONLY | O_CREAT | O_EXCL, 0600);
    copy_content(files.open(entry.path).extent(), to.get(), entry.size, entry.path);
    return place.read("copy");
}

}  // namespace

TEST_CASE("files are the same out of a tree and out of the tar that is made of it", "[property]") {
    const std::uint64_t first = fresh_seed();
    for (std::uint64_t round = 0; std::cmp_less(round, rounds(5)); ++round) {
        CAPTURE(first, round);
        std::mt19937_64 random(first + round);
        const Tree tree;
        const Tree place;
        const auto names = std::make_shared<const NameIndex>(make_random_layer(random, tree.root()));
        TarString tar;
        write_layer_tar(*names, tree.root(), tar);
        const LayerFiles of_tar(write_file(place, tar.text()), names);
        const LayerFiles of_tree(tree.root().duplicate());
        int files = 0;
        for (const Entry& entry : names->entries()) {
            if (entry.type != EntryType::file) continue;
            CAPTURE(entry.path);
            ++files;
            const std::string wanted = read(of_tree, entry);
            REQUIRE(wanted.size() == entry.size);
            REQUIRE(read(of_tar, entry) == wanted);
            REQUIRE(copy(of_tar, entry) == wanted);
            REQUIRE(copy(of_tree, entry) == wanted);
        }
        CHECK(files > 0);
    }
}

TEST_CASE("a tar that is not that of its names is told at once, and what is no file of them when it is asked for") {
    const Tree place;
    const auto names = std::make_shared<const NameIndex>(std::vector<Entry>{directory("d"), file("d/f", 3)});
    TarString tar;
    const auto give = [](const Entry&, const std::function<void(util::Source&)>& take) {
        util::MemorySource content("abc");
        take(content);
    };
    write_layer_tar(*names, give, tar);
    const std::string shorter = tar.text().substr(512);
    CHECK_THROWS_WITH(LayerFiles(write_file(place, shorter), names), Catch::Contains("2048 bytes instead of 2560"));
    const LayerFiles files(write_file(place, tar.text()), names);
    CHECK(read(files, *names->find("d/f")) == "abc");
    CHECK_THROWS_WITH(files.open("d"), Catch::Contains("'d' is not in it"));
    CHECK_THROWS_WITH(files.open("x"), Catch::Contains("'x' is not in it"));
}

TEST_CASE("threads may read parts of one file side by side") {
    const Tree place;
    const util::Fd file = write_file(place, "0123456789");
    ContentSource first({.fd = file.get(), .offset = 0}, "first", 5);
    ContentSource second({.fd = file.get(), .offset = 5}, "second", 4);
    std::array<std::byte, 3> piece{};
    CHECK(first.read(piece) == 3);
    util::StringSink rest;
    util::copy(second, rest);
    CHECK(rest.take() == "5678");
    util::copy(first, rest);
    CHECK(rest.take() == "34");
}
