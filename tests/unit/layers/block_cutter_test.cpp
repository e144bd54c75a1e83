#include "layers/block_cutter.hpp"

#include "tests/support/catch.hpp"

#include <string>

using namespace imgbuild::layers;

namespace {

constexpr std::size_t kMiB = 1U << 20;

struct Cuts {
    std::vector<std::size_t> sizes;
    BlockCutter cutter{[this](BlockCutter::Block block) { sizes.push_back(block.size()); }};

    void write(std::size_t n, std::size_t step = 100'000) {
        const std::vector<std::byte> bytes(std::min(n, step));
        for (; n > 0; n -= std::min(n, step)) cutter.write(std::span(bytes).first(std::min(n, step)));
    }
    std::vector<std::size_t> finish() {
        cutter.finish();
        return sizes;
    }
};

// A path whose hash does, or does not, allow a cut.
std::string path_with(bool cut) {
    for (int i = 0;; ++i) {
        std::string path = "p" + std::to_string(i);
        if (((path_hash(path) & 3U) == 0) == cut) return path;
    }
}

}  // namespace

TEST_CASE("the hash of a path is what it has always been") {
    // FNV-1a of "" is the offset basis cbf29ce484222325, of "a" af63dc4c8601ec8c.
    CHECK(path_hash("") == (0xcbf29ce4U ^ 0x84222325U));
    CHECK(path_hash("a") == (0xaf63dc4cU ^ 0x8601ec8cU));
}

TEST_CASE("about every fourth path allows a cut") {
    int cuts = 0;
    for (int i = 0; i < 4000; ++i) cuts += (path_hash("usr/lib/file" + std::to_string(i)) & 3U) == 0 ? 1 : 0;
    CHECK(cuts > 900);
    CHECK(cuts < 1100);
}

TEST_CASE("a block ends before an entry once it has a mebibyte and the path allows it") {
    Cuts cuts;
    cuts.write(kMiB - 1);
    cuts.cutter.begin_entry(path_with(true));
    cuts.write(1);
    cuts.cutter.begin_entry(path_with(false));
    cuts.write(10);
    cuts.cutter.begin_entry(path_with(true));
    cuts.write(7);
    CHECK(cuts.finish() == std::vector<std::size_t>{kMiB + 10, 7});
}

TEST_CASE("a block never has more than four mebibytes") {
    Cuts cuts;
    cuts.write(9 * kMiB);
    CHECK(cuts.finish() == std::vector<std::size_t>{4 * kMiB, 4 * kMiB, kMiB});
}

TEST_CASE("a large file is cut at mebibytes from its own start") {
    Cuts cuts;
    cuts.write(1000);
    cuts.cutter.begin_content(2 * kMiB + 5);
    cuts.write(2 * kMiB + 5);
    cuts.write(1000);
    CHECK(cuts.finish() == std::vector<std::size_t>{1000 + kMiB, kMiB, 1005});
}

TEST_CASE("a file that ends at a mebibyte is not cut there") {
    Cuts cuts;
    cuts.cutter.begin_content(kMiB);
    cuts.write(kMiB);
    cuts.write(512);
    CHECK(cuts.finish() == std::vector<std::size_t>{kMiB + 512});
}

TEST_CASE("the cuts do not depend on the sizes of the writes") {
    const auto run = [](std::size_t step) {
        Cuts cuts;
        cuts.write(123, step);
        cuts.cutter.begin_content(3 * kMiB + 17);
        cuts.write(3 * kMiB + 17, step);
        cuts.cutter.begin_entry(path_with(true));
        cuts.write(kMiB, step);
        return cuts.finish();
    };
    CHECK(run(1000) == run(3'000'000));
}

TEST_CASE("nothing makes no block") {
    Cuts cuts;
    CHECK(cuts.finish().empty());
}
