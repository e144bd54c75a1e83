#include "layers/noise.hpp"

#include <algorithm>
#include <random>

#include "tests/support/catch.hpp"

using namespace imgbuild::layers;

namespace {

constexpr std::size_t kKiB = 1024;
using Bytes = std::vector<std::byte>;

Bytes noise(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    Bytes out(size);
    for (std::byte& byte : out) byte = static_cast<std::byte>(random());
    return out;
}

Bytes text(std::size_t size) {
    Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>('a' + i * i % 23);
    return out;
}

Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

}  // namespace

TEST_CASE("an empty block has no runs") {
    CHECK(find_noise({}).empty());
}

TEST_CASE("noise is found between other things, in whole pieces") {
    const auto runs = find_noise(text(10'000) + noise(100 * kKiB) + text(50'000));
    REQUIRE(runs.size() == 3);
    CHECK(runs[0] == Run{.size = 12 * kKiB, .is_noise = false});  // the piece in which both meet is none
    CHECK(runs[1] == Run{.size = 96 * kKiB, .is_noise = true});
    CHECK(runs[2].size == 10'000 + 100 * kKiB + 50'000 - 108 * kKiB);
}

TEST_CASE("runs are the whole block, in turns, whatever is in it") {
    const std::size_t size = GENERATE(1U, 3U, 4095U, 4096U, 4099U, 32768U, 32769U, 1000000U);
    for (const Bytes& block : {noise(size), text(size), Bytes(size), noise(size / 2) + text(size - size / 2)}) {
        const auto runs = find_noise(block);
        std::size_t sum = 0;
        for (std::size_t i = 0; i < runs.size(); ++i) {
            CHECK(runs[i].size > 0);
            CHECK((i == 0 || runs[i].is_noise != runs[i - 1].is_noise));
            sum += runs[i].size;
        }
        CHECK(sum == size);
    }
}

TEST_CASE("less than 32 KiB of noise is not worth a member") {
    CHECK(find_noise(noise(28 * kKiB)) == std::vector<Run>{{.size = 28 * kKiB, .is_noise = false}});
    CHECK(find_noise(noise(32 * kKiB)) == std::vector<Run>{{.size = 32 * kKiB, .is_noise = true}});
}

TEST_CASE("bytes that are spread evenly and repeat are no noise") {
    SECTION("counting") {
        Bytes block(256 * kKiB);
        for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(i);
        CHECK_FALSE(find_noise(block).front().is_noise);
    }
    SECTION("the same again at some distance, aligned or not") {
        const std::size_t distance = GENERATE(5000U, 8192U, 16387U, 32766U);
        const Bytes once = noise(distance);
        Bytes block;
        while (block.size() < 256 * kKiB) block = block + once;
        for (const Run& run : find_noise(block)) CHECK((!run.is_noise || run.size < 40 * kKiB));
    }
    SECTION("a shuffled alphabet of records") {
        std::mt19937 random(3);
        const Bytes records = noise(64 * 64);
        Bytes block;
        while (block.size() < 256 * kKiB) {
            const auto begin = records.begin() + static_cast<std::ptrdiff_t>(random() % 64 * 64);
            block.insert(block.end(), begin, begin + 64);
        }
        CHECK(find_noise(block).size() == 1);
        CHECK_FALSE(find_noise(block).front().is_noise);
    }
}

TEST_CASE("the rule is the same everywhere and for ever: its name is in the codec id") {
    const auto runs = find_noise(noise(200'000, 7) + text(70'000) + noise(50'000, 8));
    std::vector<std::size_t> sizes;
    for (const Run& run : runs) sizes.push_back(run.size);
    CHECK(sizes == std::vector<std::size_t>{196608, 73728, 49152, 512});
}
