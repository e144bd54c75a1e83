#include "util/file_sink.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "util/files.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <filesystem>

using namespace imgbuild;
using namespace imgbuild::util;

namespace {

struct Fixture {
    TempDir directory{std::filesystem::temp_directory_path().string(), "imgbuild-file-sink-"};
    std::string path = directory.path() + "/file";
    Fd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    FileSink sink{fd.get(), path};

    void add(std::string_view text) { sink.write(as_bytes(text)); }
    std::string content() const { return read_file(path, 1000); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "what was written first can be written over, and writing goes on at the end") {
    add("????");
    add("body");
    sink.overwrite(0, as_bytes("head"));
    CHECK(sink.position() == 8);
    add("!");
    CHECK(content() == "headbody!");
}

TEST_CASE_METHOD(Fixture, "what is cut off was never written") {
    add("kept");
    const std::uint64_t at = sink.position();
    add("dropped, and longer than what follows");
    sink.cut(at);
    add("+more");
    CHECK(content() == "kept+more");
    CHECK(sink.position() == 9);
}

TEST_CASE_METHOD(Fixture, "bytes of another file are taken at the end, or none where the file system does not copy") {
    add("a");
    const std::string other = directory.path() + "/other";
    AtomicFile file(other);
    file.write("bc");
    file.commit();
    const Fd from{::open(other.c_str(), O_RDONLY | O_CLOEXEC)};
    const auto taken = sink.take_file(from.get(), 2);
    CHECK(taken.value_or(2) == 2);
    CHECK(sink.position() == (taken ? 3 : 1));
    CHECK(content() == (taken ? "abc" : "a"));
}

TEST_CASE("a file that cannot be gone back in says so") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd reading(ends[0]);
    const Fd writing(ends[1]);
    FileSink sink(writing.get(), "a pipe");
    CHECK_THROWS_AS(sink.position(), IoError);
    CHECK_THROWS_AS(sink.overwrite(0, as_bytes("x")), IoError);
    CHECK_THROWS_AS(sink.cut(0), IoError);
}
