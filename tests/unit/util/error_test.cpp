#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

#include <cerrno>

using namespace imgbuild;

TEST_CASE("context adds frames from the inside out and keeps the type") {
    const auto fail = [] {
        return in_context("pulling 'a'", [] {
            return in_context([] { return std::string("reading the manifest"); },
                              []() -> int { throw IoError("open", "x", ENOENT); });
        });
    };
    try {
        fail();
        FAIL("nothing was thrown");
    } catch (const IoError& error) {
        CHECK(error.frames() == std::vector<std::string>{"pulling 'a'", "reading the manifest"});
        CHECK(std::string(error.what()) == "pulling 'a': reading the manifest: open 'x': No such file or directory");
        CHECK(error.code() == "io.not-found");
    }
}

TEST_CASE("a full disk is a matter of resources") {
    CHECK(IoError("write", "x", ENOSPC).code() == "resources.disk-full");
}

TEST_CASE("a more precise place in the file wins over a later one") {
    UsageError error({.code = "usage.x", .message = "m", .hint = {}, .where = {}});
    error.locate({.file = nullptr, .span = {3, 1, 3, 5}});
    error.locate({.file = nullptr, .span = {9, 1, 9, 5}});
    REQUIRE(error.where());
    CHECK(error.where()->span.line == 3);
}

TEST_CASE("a parse error speaks with its first error, not with a warning") {
    const Diagnostic warning{.severity = Severity::warning, .code = "w", .message = "w", .hint = {}, .span = {}};
    const Diagnostic error{.severity = Severity::error, .code = "parse.x", .message = "bad", .hint = "h", .span = {}};
    const ParseError thrown(nullptr, {warning, error});
    CHECK(thrown.code() == "parse.x");
    CHECK(thrown.diagnostics().size() == 2);
}
