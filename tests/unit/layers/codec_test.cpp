#include "layers/codec.hpp"

#include <imgbuild/error.hpp>

#include "layers/decompress.hpp"
#include "tests/support/catch.hpp"

#include <random>

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

std::vector<BlockCutter::Block> some_blocks() {
    std::mt19937 random(7);
    std::vector<BlockCutter::Block> out;
    for (int i = 0; i < 20; ++i) {
        BlockCutter::Block block(1000 + random() % 300'000);
        for (std::byte& byte : block) byte = static_cast<std::byte>(random() % 7);
        out.push_back(std::move(block));
    }
    return out;
}

std::string compress(Codec codec, unsigned threads) {
    util::StringSink out;
    BlockCompressor compressor(codec, out, threads);
    for (auto& block : some_blocks()) compressor.add(std::move(block));
    compressor.finish();
    return out.take();
}

class FailingSink final : public util::Sink {
public:
    void write(std::span<const std::byte>) override { throw IoError("write", "disk", ENOSPC); }
};

}  // namespace

TEST_CASE("the number of threads does not show in the bytes") {
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd, Codec::Kind::none);
    const std::string alone = compress({.kind = kind}, 1);
    const auto threads = GENERATE(0U, 2U, 3U, 8U);
    CHECK(compress({.kind = kind}, threads) == alone);
}

TEST_CASE("what was compressed comes out again") {
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd, Codec::Kind::none);
    std::string plain;
    for (const auto& block : some_blocks()) plain.append(reinterpret_cast<const char*>(block.data()), block.size());
    const std::string packed = compress({.kind = kind}, 2);
    util::MemorySource source(packed);
    CHECK(util::read_all(*open_layer_blob(source), 1U << 30, "test") == plain);
}

TEST_CASE("a gzip member has a header that says nothing about us") {
    const std::vector<std::byte> block(10);
    const auto member = compress_block({.kind = Codec::Kind::gzip, .level = 9}, block);
    const std::string head(reinterpret_cast<const char*>(member.data()), 10);
    CHECK(head == std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
}

TEST_CASE("a block of noise is stored, and one that only begins with noise is compressed") {
    std::mt19937 random(1);
    std::vector<std::byte> block(1U << 20);
    for (std::byte& byte : block) byte = static_cast<std::byte>(random());
    const auto level = GENERATE(1, 4, 12);
    const auto stored = compress_block({.kind = Codec::Kind::gzip, .level = level}, block);
    CHECK(stored.size() > block.size());
    CHECK(stored.size() < block.size() + 200);
    std::fill(block.begin() + (900 << 10), block.end(), std::byte{'x'});
    const auto half = compress_block({.kind = Codec::Kind::gzip, .level = level}, block);
    CHECK(half.size() < (901U << 10));
    CHECK(makes_block({.kind = Codec::Kind::gzip}, half, block));
    CHECK_FALSE(makes_block({.kind = Codec::Kind::gzip}, std::span(half).first(half.size() - 1), block));
    CHECK_FALSE(makes_block({.kind = Codec::Kind::gzip}, half, std::span(block).first(900U << 10)));

    const std::string bytes(reinterpret_cast<const char*>(stored.data()), stored.size());
    util::MemorySource source(bytes);
    CHECK(util::read_all(*open_layer_blob(source), 2U << 20, "test").size() == 1U << 20);
}

TEST_CASE("a codec id names all that the bytes follow from") {
    CHECK(Codec{}.codec_id().starts_with("gzip/libdeflate-"));
    CHECK(Codec{}.codec_id().ends_with("/4/cut1/noise1"));
    CHECK(Codec{.kind = Codec::Kind::zstd}.codec_id().ends_with("/3/cut1"));
    CHECK(Codec{.kind = Codec::Kind::zstd, .level = 19}.codec_id().ends_with("/19/cut1"));
    CHECK(Codec{.kind = Codec::Kind::none}.codec_id() == "none");
}

TEST_CASE("a level that the codec does not have is refused") {
    util::NullSink sink;
    CHECK_THROWS_AS(BlockCompressor({.kind = Codec::Kind::gzip, .level = 13}, sink, 1), UsageError);
    CHECK_THROWS_AS(BlockCompressor({.kind = Codec::Kind::zstd, .level = -1}, sink, 1), UsageError);
    CHECK_THROWS_AS(BlockCompressor({.kind = Codec::Kind::none, .level = 1}, sink, 1), UsageError);
}

TEST_CASE("a full disk stops the compressor and its threads") {
    const auto threads = GENERATE(1U, 4U);
    FailingSink sink;
    BlockCompressor compressor({}, sink, threads);
    const auto run = [&] {
        for (auto& block : some_blocks()) compressor.add(std::move(block));
        compressor.finish();
    };
    CHECK_THROWS_AS(run(), IoError);
}
