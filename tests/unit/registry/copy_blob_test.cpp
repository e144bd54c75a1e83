#include "registry/copy_blob.hpp"

#include <imgbuild/error.hpp>

#include <fcntl.h>

#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"
#include "util/files.hpp"

namespace imgbuild::registry {
namespace {

// A file of which its owner says that it is the blob.
struct ProvenFile final : util::Source {
    ProvenFile(const std::string& path, const oci::Descriptor& blob)
        : fd(util::open_path(path, O_RDONLY)),
          content(fd.get(), path),
          promised{.digest = blob.digest, .size = blob.size, .file = fd.get()} {}
    std::size_t read(std::span<std::byte> into) override {
        ++reads;
        return content.read(into);
    }
    std::optional<util::Proof> proof() const override { return promised; }

    util::Fd fd;
    util::FdSource content;
    util::Proof promised;
    int reads = 0;
};

struct Fixture {
    util::TempDir directory{std::filesystem::temp_directory_path().string(), "imgbuild-copy-"};
    std::string from = directory.path() + "/from";
    std::string to = directory.path() + "/to";
    std::string text = std::string(100'000, 'x') + "end";
    oci::Descriptor blob = oci::describe("a/b", text);

    Fixture() { std::ofstream(from) << text; }
    util::Fd target() const { return util::open_path(to, O_WRONLY | O_CREAT | O_TRUNC); }
};

TEST_CASE_METHOD(Fixture, "a proven file goes into a file unread, and everywhere else as it can") {
    ProvenFile source(from, blob);
    SECTION("a file") {
        const util::Fd out = target();
        util::FdSink sink(out.get(), to);
        copy_blob(blob, source, sink, "blob", {});
        CHECK(source.reads == 0);
        CHECK(util::read_file(to, 1U << 20) == text);
    }
    SECTION("memory") {
        util::StringSink sink;
        copy_blob(blob, source, sink, "blob", {});
        CHECK(sink.text() == text);
    }
}

TEST_CASE_METHOD(Fixture, "a proof of something else is none") {
    std::ofstream(from) << std::string(text.size(), 'y');
    ProvenFile source(from, blob);
    source.promised.digest = util::Sha256::of("something else");
    const util::Fd out = target();
    util::FdSink sink(out.get(), to);
    CHECK_THROWS_AS(copy_blob(blob, source, sink, "blob", {}), CorruptData);
}

TEST_CASE_METHOD(Fixture, "a proven file that is cut meanwhile is noticed") {
    ProvenFile source(from, blob);
    std::filesystem::resize_file(from, 50'000);
    const util::Fd out = target();
    util::FdSink sink(out.get(), to);
    CHECK_THROWS_AS(copy_blob(blob, source, sink, "blob", {}), CorruptData);
}

TEST_CASE_METHOD(Fixture, "a copy of a proven file can be stopped") {
    ProvenFile source(from, blob);
    std::stop_source stop;
    stop.request_stop();
    const util::Fd out = target();
    util::FdSink sink(out.get(), to);
    CHECK_THROWS_AS(copy_blob(blob, source, sink, "blob", stop.get_token()), Cancelled);
}

}  // namespace
}  // namespace imgbuild::registry
