#include "builder/frontend/stage_names.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using test::Told;

namespace {

struct Names {
    explicit Names(const std::string& text, LowerOptions given = test::plain_options())
        : options(std::move(given)), file(parser::parse_file(test::source_file(text))) {}

    LowerOptions options;
    parser::BuildFile file;
    GlobalArguments globals{file, options};
    StageNames names{file, options, globals};

    Origin from(const std::string& name, std::size_t stage) const {
        return names.from({.text = name, .span = {}}, stage);
    }
};

LowerOptions with_context(const std::string& name, NamedContext context) {
    LowerOptions out = test::plain_options();
    out.contexts[name] = std::move(context);
    return out;
}

const std::string kThree = "FROM base AS one\nFROM one AS two\nFROM scratch\n";

std::string image_of(const Origin& origin) {
    return std::get<OutsideImage>(origin).request.name;
}

}  // namespace

TEST_CASE("without --target the last stage is built") {
    CHECK(Names(kThree).names.target() == 2);
}

TEST_CASE("a target is found by name in any case, or by number") {
    const auto [target, stage] = GENERATE(table<std::string, std::size_t>({{"two", 1}, {"ONE", 0}, {"2", 2}}));
    LowerOptions options = test::plain_options();
    options.target = target;
    CHECK(Names(kThree, options).names.target() == stage);
}

TEST_CASE("an unknown target is an error") {
    LowerOptions options = test::plain_options();
    options.target = "tow";
    const Names names(kThree, options);
    CHECK(test::error_code([&] { static_cast<void>(names.names.target()); }) == "usage.unknown-target");
}

TEST_CASE("FROM names an earlier stage, scratch or an image") {
    const Names names(kThree);
    CHECK(image_of(names.names.base_of(0)) == "base");
    CHECK(std::get<StageIndex>(names.names.base_of(1)).index == 0);
    CHECK(std::holds_alternative<Scratch>(names.names.base_of(2)));
}

TEST_CASE("FROM names the nearest of two earlier stages with one name") {
    const Names names("FROM a AS x\nFROM b AS x\nFROM x\n");
    CHECK(std::get<StageIndex>(names.names.base_of(2)).index == 1);
}

TEST_CASE("FROM a later stage's name is an image") {
    CHECK(image_of(Names("FROM later\nFROM a AS later\n").names.base_of(0)) == "later");
}

TEST_CASE("FROM sees global arguments and has a platform of its own") {
    const Names names("ARG v=1\nFROM --platform=$BUILDPLATFORM base:$v\n");
    const ImageRequest request = std::get<OutsideImage>(names.names.base_of(0)).request;
    CHECK(request.name == "base:1");
    CHECK(request.platform == Platform::parse("linux/amd64"));
}

TEST_CASE("FROM with an empty variable is an error with its line") {
    const Names names("ARG v\nFROM $v\n");
    CHECK(test::error_of([&] { names.names.base_of(0); }) == Told{.code = "parse.empty-base", .line = 2});
}

TEST_CASE("a bad --platform is an error with its line") {
    const Names names("FROM --platform=a/b/c/d/e base\n");
    CHECK(test::error_of([&] { static_cast<void>(names.names.platform_of(0)); }) ==
          Told{.code = "usage.bad-platform", .line = 1});
}

TEST_CASE("--from names a stage by name or number, also a later one") {
    const Names names(kThree);
    CHECK(std::get<StageIndex>(names.from("two", 0)).index == 1);
    CHECK(std::get<StageIndex>(names.from("0", 2)).index == 0);
}

TEST_CASE("--from with the stage's own name is an image") {
    CHECK(image_of(Names(kThree).from("two", 1)) == "two");
}

TEST_CASE("--from with a number that no stage has is an error") {
    const Names names(kThree);
    const auto number = GENERATE(as<std::string>(), "3", "2");
    CHECK(test::error_code([&] { names.from(number, 2); }) == "parse.unknown-stage");
}

TEST_CASE("a named context takes an image's place, whatever form the name has") {
    const auto name = GENERATE(as<std::string>(), "alpine", "docker.io/library/alpine:latest", "alpine:latest");
    const Names names("FROM alpine\n", with_context(name, {.kind = NamedContext::Kind::image, .locator = "other"}));
    CHECK(image_of(names.names.base_of(0)) == "other");
}

TEST_CASE("a named context for one platform goes before the one for all") {
    LowerOptions options = with_context("a", {.kind = NamedContext::Kind::image, .locator = "all"});
    options.contexts["a::linux/amd64"] = {.kind = NamedContext::Kind::image, .locator = "mine"};
    options.contexts["a::linux/arm64"] = {.kind = NamedContext::Kind::image, .locator = "theirs"};
    CHECK(image_of(Names("FROM a\n", options).names.base_of(0)) == "mine");
}

TEST_CASE("a named context of a stage's name takes its place") {
    const Names names(kThree, with_context("one", {.kind = NamedContext::Kind::directory, .locator = ""}));
    CHECK(names.names.is_replaced(0));
    CHECK_FALSE(names.names.is_replaced(1));
    CHECK(std::get<ContextDirectory>(names.names.base_of(0)).name == "one");
}

TEST_CASE("a stage without a name is shown by its number") {
    CHECK(Names(kThree).names.label_of(1) == "two");
    CHECK(Names(kThree).names.label_of(2) == "stage-2");
}
