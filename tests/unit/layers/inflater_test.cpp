#include "layers/inflater.hpp"

#include <imgbuild/error.hpp>

#include "layers/codec.hpp"
#include "tests/support/catch.hpp"

#include <random>

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

enum class Which { fast, zlib };

std::unique_ptr<Inflater> make(Which which) {
    auto out = which == Which::fast ? make_fast_inflater() : make_zlib_inflater();
    REQUIRE(out != nullptr);  // the library is one of the packages that the tests need
    return out;
}

std::string text_of(std::size_t size) {
    std::mt19937 random(11);
    std::string out;
    while (out.size() < size) out += "word" + std::to_string(random() % 5000) + (random() % 7 == 0 ? "\n" : " ");
    out.resize(size);
    return out;
}

std::vector<std::byte> member(std::string_view text) {
    return compress_block({.kind = Codec::Kind::gzip}, util::as_bytes(text));
}

// Undoes one member in steps of changing sizes, none above the limits.
std::string undo(Inflater& inflater, std::span<const std::byte> in, std::size_t most_in, std::size_t most_out) {
    std::mt19937 random(5);
    std::string out;
    inflater.begin_member();
    for (;;) {
        std::string room(1 + random() % most_out, '\0');
        const auto part = in.first(std::min(in.size(), 1 + random() % most_in));
        const Inflated step = inflater.inflate(part, std::as_writable_bytes(std::span(room)));
        out.append(room, 0, step.produced);
        in = in.subspan(step.consumed);
        if (step.ended) break;
        REQUIRE(step.consumed + step.produced > 0);
    }
    CHECK(in.empty());
    return out;
}

}  // namespace

TEST_CASE("a member comes out whole, in whatever pieces it goes in") {
    const auto which = GENERATE(Which::fast, Which::zlib);
    const auto [most_in, most_out] =
        GENERATE(table<std::size_t, std::size_t>({{1, 100'000}, {9, 7}, {300, 1000}, {70'000, 1}, {1 << 20, 1 << 20}}));
    const auto inflater = make(which);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{40'000}}) {
        const std::string text = text_of(size);
        const auto packed = member(text);
        CHECK(undo(*inflater, packed, most_in, most_out) == text);
    }
}

TEST_CASE("what follows a member is not taken") {
    const auto inflater = make(GENERATE(Which::fast, Which::zlib));
    auto both = member("one");
    const std::size_t first = both.size();
    const auto second = member("two");
    both.insert(both.end(), second.begin(), second.end());
    std::string room(100, '\0');
    inflater->begin_member();
    const Inflated step = inflater->inflate(both, std::as_writable_bytes(std::span(room)));
    CHECK(step.ended);
    CHECK(step.consumed == first);
    CHECK(room.substr(0, step.produced) == "one");
}

TEST_CASE("a wrong checksum, length, header or block is refused") {
    const auto which = GENERATE(Which::fast, Which::zlib);
    // Of the header the magic and the method; of the end the length, and the checksum before it.
    const auto [from_end, at] = GENERATE(table<bool, std::size_t>({{false, 0}, {false, 2}, {true, 0}, {true, 5}}));
    auto bytes = member(text_of(3000));
    std::byte& hit = from_end ? bytes[bytes.size() - 1 - at] : bytes[at];
    hit ^= std::byte{0x55};
    const auto inflater = make(which);
    CHECK_THROWS_AS(undo(*inflater, bytes, 1 << 20, 1 << 20), CorruptData);
}

TEST_CASE("noise is refused, or cut off, but never taken for data that end") {
    const auto inflater = make(GENERATE(Which::fast, Which::zlib));
    std::mt19937 random(GENERATE(range(1U, 60U)));
    auto bytes = member(text_of(5000));
    for (std::size_t i = 10; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(random());
    bool ended = false;
    std::string room(1U << 20, '\0');
    try {
        inflater->begin_member();
        ended = inflater->inflate(bytes, std::as_writable_bytes(std::span(room))).ended;
    } catch (const CorruptData& error) {
        CHECK(error.code() == "corrupt.compressed");
    }
    CHECK_FALSE(ended);
}

TEST_CASE("without the fast library there is another") {
    CHECK(make_fast_inflater("libisal-that-is-not-there.so") == nullptr);
    CHECK(make_fast_inflater("libz.so.1") == nullptr);
    CHECK(make_inflater() != nullptr);
}
