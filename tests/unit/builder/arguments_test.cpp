#include "builder/frontend/arguments.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

GlobalArguments arguments_of(const std::string& text, const LowerOptions& options = test::plain_options()) {
    return {parser::parse_file(test::source_file(text)), options};
}

LowerOptions with_args(std::vector<std::pair<std::string, std::string>> args) {
    LowerOptions out = test::plain_options();
    out.build_args = std::move(args);
    return out;
}

}  // namespace

TEST_CASE("the platforms are predefined") {
    LowerOptions options = test::plain_options();
    options.target_platform = Platform::parse("linux/arm/v7");
    const GlobalArguments globals = arguments_of("FROM a\n", options);
    const auto [name, value] = GENERATE(table<std::string, std::string>({
        {"TARGETPLATFORM", "linux/arm/v7"},
        {"TARGETOS", "linux"},
        {"TARGETARCH", "arm"},
        {"TARGETVARIANT", "v7"},
        {"BUILDPLATFORM", "linux/amd64"},
        {"BUILDARCH", "amd64"},
        {"BUILDVARIANT", ""},
        {"TARGETSTAGE", "default"},
    }));
    CHECK(globals.inherited(name) == value);
    CHECK(globals.environment()(name) == value);
}

TEST_CASE("--build-arg beats what is predefined and what is declared") {
    const GlobalArguments globals =
        arguments_of("ARG v=1\nFROM a\n", with_args({{"v", "2"}, {"TARGETARCH", "z80"}, {"v", "3"}}));
    CHECK(globals.environment()("v") == "3");
    CHECK(globals.environment()("TARGETARCH") == "z80");
}

TEST_CASE("a default sees the arguments above it") {
    const GlobalArguments globals = arguments_of("ARG a=1\nARG b=${a}${TARGETOS}\nFROM x\n");
    CHECK(globals.inherited("b") == "1linux");
}

TEST_CASE("a --build-arg that is not declared above FROM does not reach FROM") {
    const GlobalArguments globals = arguments_of("FROM a\n", with_args({{"v", "1"}}));
    CHECK_FALSE(globals.environment()("v"));
    CHECK(globals.inherited("v") == "1");
}

TEST_CASE("an argument without default and value is unset") {
    CHECK_FALSE(arguments_of("ARG v\nFROM a\n").inherited("v"));
}

TEST_CASE("proxy settings are known in upper and lower case and in nothing between") {
    const auto [name, known] = GENERATE(table<std::string, bool>({
        {"HTTP_PROXY", true},
        {"https_proxy", true},
        {"all_proxy", true},
        {"NO_PROXY", true},
        {"Http_Proxy", false},
        {"MY_PROXY", false},
    }));
    CHECK(is_proxy_argument(name) == known);
}

TEST_CASE("proxies are those that were given") {
    const GlobalArguments globals = arguments_of("FROM a\n", with_args({{"http_proxy", "p"}, {"v", "1"}}));
    CHECK(globals.proxies() == std::vector<std::pair<std::string, std::string>>{{"http_proxy", "p"}});
}

TEST_CASE("a malformed default is an error with its line") {
    CHECK(test::error_of([] { arguments_of("\nARG v=${a:?needed}\nFROM x\n"); }) ==
          test::Told{.code = "parse.required-variable", .line = 2});
}

TEST_CASE("TARGETSTAGE is the stage that is asked for, or the name of the last one") {
    const std::string file = "FROM a AS one\nFROM a AS two\n";
    CHECK(arguments_of(file).inherited("TARGETSTAGE") == "two");
    CHECK(arguments_of(file + "FROM a\n").inherited("TARGETSTAGE") == "default");
    LowerOptions options = test::plain_options();
    options.target = "one";
    CHECK(arguments_of(file, options).inherited("TARGETSTAGE") == "one");
}
