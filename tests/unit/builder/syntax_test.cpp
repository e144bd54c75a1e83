#include "builder/frontend/syntax.hpp"

#include "tests/support/catch.hpp"

#include <memory>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

std::optional<Diagnostic> problem_of(const std::string& text, const LowerOptions& options = {}) {
    return find_foreign_frontend(parser::parse_file(std::make_shared<const SourceFile>(SourceFile{"Buildfile", text})),
                                 options);
}

std::optional<Diagnostic> problem_of_name(const std::string& name) {
    return problem_of("# syntax=" + name + "\nFROM scratch\n");
}

}  // namespace

TEST_CASE("the front end that other builders load is ours, up to the version that we know") {
    CHECK_FALSE(problem_of("FROM scratch\n"));
    for (const std::string name :
         {"docker/dockerfile", "docker/dockerfile:1", "docker/dockerfile:1.4", "docker/dockerfile:1.26.0",
          "docker/dockerfile:1.7-labs", "docker/dockerfile:labs", "docker.io/docker/dockerfile:latest",
          "docker/dockerfile-upstream:master", "docker/dockerfile:1 with words", "dockerfile.v0",
          "docker/dockerfile@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}) {
        INFO(name);
        CHECK_FALSE(problem_of_name(name));
    }
}

TEST_CASE("another front end, or a newer one, is refused with its line") {
    const auto [name, message] = GENERATE(table<std::string, std::string>({
        {"docker/dockerfile:1.27", "the file asks for version '1.27' of the language, imgbuild knows it up to 1.26"},
        {"docker/dockerfile:2", "the file asks for version '2' of the language, imgbuild knows it up to 1.26"},
        {"docker/dockerfile:edge", "'docker/dockerfile:edge' names no version of the front end"},
        {"example.com/docker/dockerfile:1", "the front end 'example.com/docker/dockerfile:1' is not supported"},
        {"r2d4/mockerfile", "the front end 'r2d4/mockerfile' is not supported"},
    }));
    const std::optional<Diagnostic> problem = problem_of_name(name);
    REQUIRE(problem);
    CHECK(problem->code == "parse.unsupported-syntax");
    CHECK(problem->message == message);
    CHECK(problem->span.line == 1);
    CHECK_FALSE(problem->hint.empty());
}

TEST_CASE("BUILDKIT_SYNTAX takes the place of the file's line") {
    LowerOptions options;
    options.build_args = {{"BUILDKIT_SYNTAX", "docker/dockerfile:1"}};
    CHECK_FALSE(problem_of("# syntax=other/frontend\nFROM scratch\n", options));
    options.build_args = {{"BUILDKIT_SYNTAX", "other/frontend"}};
    CHECK(problem_of("FROM scratch\n", options));
}

TEST_CASE("the front end cannot be replaced by a named context") {
    LowerOptions options;
    options.contexts["docker/dockerfile:1"] = {.kind = NamedContext::Kind::image, .locator = "docker-image://x"};
    CHECK(problem_of("# syntax=docker/dockerfile:1\nFROM scratch\n", options));
}
