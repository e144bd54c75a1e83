#include "util/bytes.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"
#include "util/files.hpp"

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

namespace {

// Says to have proven what it yields.
class Proven final : public Source {
public:
    Proven(std::string_view text, Proof proof) : inner_(text), proof_(proof) {}
    std::size_t read(std::span<std::byte> into) override { return inner_.read(into); }
    std::optional<Proof> proof() const override { return proof_; }

private:
    MemorySource inner_;
    Proof proof_;
};

}  // namespace

TEST_CASE("what is proven already is counted and not hashed again") {
    Proven inner("jello", {.digest = Sha256::of("hello"), .size = 5, .file = 7});
    VerifyingSource source(inner, Sha256::of("hello"), 5, "blob");
    CHECK(source.proof().value().file == 7);
    CHECK(read_all(source, 100, "blob") == "jello");  // nobody looked

    const auto [size, digest_of] = GENERATE(table<std::uint64_t, const char*>({{4, "hello"}, {5, "jell"}}));
    Proven other("jello", {.digest = Sha256::of(digest_of), .size = size, .file = 7});
    VerifyingSource wary(other, Sha256::of("hello"), 5, "blob");
    CHECK(wary.proof().value().file == -1);
    CHECK_THROWS_AS(read_all(wary, 100, "blob"), CorruptData);
    Proven cut("hell", {.digest = Sha256::of("hello"), .size = 5, .file = -1});
    VerifyingSource counting(cut, Sha256::of("hello"), 5, "blob");
    CHECK_THROWS_AS(read_all(counting, 100, "blob"), CorruptData);
}

TEST_CASE("a file goes to a file without being read, and to a pipe not at all") {
    const TempDir directory(std::filesystem::temp_directory_path().string(), "imgbuild-bytes-");
    const std::string from = directory.path() + "/from";
    const std::string to = directory.path() + "/to";
    std::ofstream(from) << "0123456789";
    const Fd in = open_path(from, O_RDONLY);
    const Fd out = open_path(to, O_WRONLY | O_CREAT);
    FdSink sink(out.get(), to);
    sink.write(as_bytes("<"));
    CHECK(sink.take_file(in.get(), 4) == 4);
    CHECK(sink.take_file(in.get(), 100) == 6);
    CHECK(sink.take_file(in.get(), 100) == 0);
    sink.write(as_bytes(">"));
    CHECK(read_file(to, 100) == "<0123456789>");

    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd reading(ends[0]);
    const Fd writing(ends[1]);
    const Fd again = open_path(from, O_RDONLY);
    CHECK_FALSE(FdSink(writing.get(), "pipe").take_file(again.get(), 4));
    CHECK(FdSource(again.get(), from).read(std::as_writable_bytes(std::span(ends))) == sizeof(ends));  // nothing moved
    CHECK_FALSE(StringSink().take_file(again.get(), 4));
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
