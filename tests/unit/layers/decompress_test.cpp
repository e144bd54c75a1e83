#include "layers/decompress.hpp"

#include <imgbuild/error.hpp>

#include "layers/codec.hpp"
#include "tests/support/catch.hpp"
#include "util/fd.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

std::string inflate(std::string_view bytes, const ArchiveLimits& limits = {}) {
    util::MemorySource source(bytes);
    return util::read_all(*open_compressed(source, limits), 1U << 30, "test");
}

std::string packed(Codec::Kind kind, std::string_view text) {
    const auto bytes = compress_block({.kind = kind}, util::as_bytes(text));
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string code_of(std::string_view bytes, const ArchiveLimits& limits = {}) {
    try {
        inflate(bytes, limits);
    } catch (const Error& error) {
        return error.code();
    }
    return "(no error)";
}

// One byte at a time: the worst that a pipe or a socket can do.
class Dripping final : public util::Source {
public:
    explicit Dripping(std::string_view text) : inner_(text) {}
    std::size_t read(std::span<std::byte> into) override { return inner_.read(into.first(1)); }

private:
    util::MemorySource inner_;
};

}  // namespace

TEST_CASE("every compression that ADD knows gives the same archive") {
    const std::string plain = util::read_file("testdata/tar/v7.tar", 1U << 20);
    const auto name = GENERATE("v7.tar", "v7.tar.gz", "v7.tar.bz2", "v7.tar.xz", "v7.tar.zst");
    const std::string bytes = util::read_file(std::string("testdata/tar/") + name, 1U << 20);
    CHECK(inflate(bytes) == plain);
    Dripping slow(bytes);
    CHECK(util::read_all(*open_compressed(slow), 1U << 20, "test") == plain);
}

TEST_CASE("members and frames follow one another") {
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd);
    CHECK(inflate(packed(kind, "one ") + packed(kind, "") + packed(kind, "two")) == "one two");
}

TEST_CASE("zeros after the last gzip member are padding") {
    CHECK(inflate(packed(Codec::Kind::gzip, "x") + std::string(700, '\0')) == "x");
}

TEST_CASE("a skippable zstd frame is passed over") {
    CHECK(inflate(std::string("\x50\x2a\x4d\x18\x03\0\0\0abc", 11) + packed(Codec::Kind::zstd, "x")) == "x");
}

TEST_CASE("damaged and short data are said to be so") {
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd);
    const std::string good = packed(kind, std::string(1000, 'x') + "yz");
    CHECK(code_of(good.substr(0, good.size() - 1)) == "corrupt.compressed");
    CHECK(code_of(good.substr(0, 8)) == "corrupt.compressed");
    CHECK(code_of(good + "garbage") == "corrupt.compressed");
}

TEST_CASE("a gzip member with a wrong checksum is damaged") {
    std::string bytes = packed(Codec::Kind::gzip, "some text");
    bytes[bytes.size() - 6] = static_cast<char>(bytes[bytes.size() - 6] ^ 1);
    CHECK(code_of(bytes) == "corrupt.compressed");
}

TEST_CASE("a bomb goes off at its limit") {
    const auto kind = GENERATE(Codec::Kind::gzip, Codec::Kind::zstd);
    const std::string bomb = packed(kind, std::string(4U << 20, '\0'));
    CHECK(code_of(bomb, {.expansion = 100, .expansion_free = 1U << 20}) == "corrupt.archive-limit");
    CHECK(code_of(bomb) == "(no error)");
}

TEST_CASE("a layer that is neither gzip nor zstd is taken as it stands") {
    const std::string bytes = util::read_file("testdata/tar/v7.tar.bz2", 1U << 20);
    util::MemorySource source(bytes);
    CHECK(util::read_all(*open_layer_blob(source), 1U << 20, "test") == bytes);
}
