#include "util/background_hash.hpp"

#include "tests/support/catch.hpp"

#include <string>

using namespace imgbuild;
using util::BackgroundHash;

TEST_CASE("a hash in the background is that of the same bytes hashed at once, in pieces of whatever size") {
    const auto threads = GENERATE(BackgroundHash::Threads::none, BackgroundHash::Threads::one);
    // Nothing, less and more than what the writer hashes itself, and more than the queue holds.
    const std::size_t size = GENERATE(0U, 1000U, 1U << 20, (1U << 20) + 1, 9'000'001U);
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; i += 97) text[i] = static_cast<char>(i);
    BackgroundHash hash(threads);
    std::size_t step = 1;
    for (std::size_t at = 0; at < size; at += step, step = step * 3 % 700'001 + 1) {
        hash.write(util::as_bytes(std::string_view(text).substr(at, step)));
    }
    CHECK(hash.size() == size);
    CHECK(hash.finish() == util::Sha256::of(text));
}

TEST_CASE("a hash in the background that nobody finishes leaves no thread behind") {
    BackgroundHash hash(BackgroundHash::Threads::one);
    hash.write(util::as_bytes(std::string(8U << 20, 'x')));
    CHECK(hash.size() == 8U << 20);
}
