#include "util/bytes.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::util;

TEST_CASE("the digest of a prefix does not end the hash") {
    Sha256 hash;
    CHECK(hash.digest().brief() == "e3b0c44298fc");
    hash.update("ab");
    const Sha256 saved(hash);
    hash.update("c");
    CHECK(hash.digest() == Sha256::of("abc"));
    CHECK(saved.digest() == Sha256::of("ab"));
    CHECK(Sha256::of("abc").brief() == "ba7816bf8f01");
}

TEST_CASE("verified bytes arrive when size and digest are right") {
    MemorySource inner("hello");
    VerifyingSource source(inner, Sha256::of("hello"), 5, "blob");
    CHECK(read_all(source, 100, "blob") == "hello");
}

TEST_CASE("a verifying source refuses what differs from its descriptor") {
    const auto [bytes, size] = GENERATE(table<std::string, std::uint64_t>({
        {"hello!", 5},  // one byte too many
        {"hell", 5},    // short body
        {"jello", 5},   // other content
    }));
    MemorySource inner(bytes);
    VerifyingSource source(inner, Sha256::of("hello"), size, "blob");
    CHECK_THROWS_AS(read_all(source, 100, "blob"), CorruptData);
}

TEST_CASE("a limit is a limit") {
    MemorySource inner("12345");
    CHECK_THROWS_AS(read_all(inner, 4, "manifest"), CorruptData);
    MemorySource fits("1234");
    CHECK(read_all(fits, 4, "manifest") == "1234");
}

TEST_CASE("a hashing sink counts and passes on") {
    StringSink end;
    HashingSink sink(&end);
    sink.write(as_bytes("ab"));
    sink.write(as_bytes("c"));
    CHECK(sink.size() == 3);
    CHECK(sink.digest() == Sha256::of("abc"));
    CHECK(end.text() == "abc");
}
