#include "parser/file.hpp"

#include "parser/arguments.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

TEST_CASE("a file is global arguments and stages") {
    const BuildFile file = parse("ARG V=1\nFROM a:$V AS Build\nRUN b\nFROM scratch\nCOPY --from=build /x /\n");
    CHECK(file.diagnostics.empty());
    REQUIRE(file.global_args.size() == 1);
    REQUIRE(file.stages.size() == 2);
    CHECK(file.stages[0].name == "build");
    CHECK(file.stages[0].from.image.text == "a:$V");
    CHECK(file.stages[0].instructions.size() == 1);
    CHECK(file.stages[1].name.empty());
}

TEST_CASE("a stage is found by name in any case, the latest first, or by number") {
    const BuildFile file = parse("FROM a AS x\nFROM b AS y\nFROM c AS X\n");
    CHECK(file.find_stage("x") == 2);
    CHECK(file.find_stage("Y") == 1);
    CHECK(file.find_stage("0") == 0);
    CHECK(file.find_stage("3") == BuildFile::npos);
    CHECK(file.find_stage("") == BuildFile::npos);
}

TEST_CASE("all errors of a file are told at once, in its order") {
    const BuildFile file =
        parse("FROM a\nCOPPY x y\nCOPY --bogus x y\nWORKDIR\nENV a\nRUN --mount=type=cache,targt=/x y\n");
    CHECK(error_codes(file) == std::vector<std::string>{"parse.unknown-instruction", "parse.unknown-flag",
                                                        "parse.wrong-arguments", "parse.bad-pair", "parse.bad-mount"});
    CHECK_THROWS_AS(file.require_valid(), ParseError);
}

TEST_CASE("a misspelt instruction or flag is answered with the right one") {
    const BuildFile file = parse("FROM a\nCOPPY x y\nCOPY --chwon=1 x y\n");
    CHECK(file.diagnostics.at(0).hint == "did you mean COPY?");
    CHECK(text_at(*file.source, file.diagnostics[0].span) == "COPPY");
    CHECK(file.diagnostics.at(1).hint == "did you mean --chown?");
    CHECK(text_at(*file.source, file.diagnostics[1].span) == "--chwon=1");
}

TEST_CASE("what is wrong with the shape of a file has its own code") {
    const auto [text, code] = GENERATE(table<std::string, std::string>({
        {"", "parse.no-instructions"},
        {"# x\n", "parse.no-instructions"},
        {"ARG a\n", "parse.no-stages"},
        {"RUN a\nFROM b\n", "parse.no-stage"},
        {"FROM a b\n", "parse.wrong-arguments"},
        {"FROM a AS 1b\n", "parse.bad-stage-name"},
        {"FROM a AS b/c\n", "parse.bad-stage-name"},
        {"FROM --foo=x a\n", "parse.unknown-flag"},
    }));
    CHECK(error_code(text) == code);
}

TEST_CASE("instructions below a wrong FROM are not blamed for its absence") {
    CHECK(error_codes(parse("FROM\nRUN a\n")) == std::vector<std::string>{"parse.wrong-arguments"});
}

TEST_CASE("a comment above gives a description") {
    const BuildFile file = parse("# v the version\nARG v w\n# st first one\nFROM b AS st\n");
    const auto& arg = std::get<Arg>(file.global_args.at(0).body);
    CHECK(arg.items.at(0).description == "the version");
    CHECK(arg.items.at(1).description.empty());
    CHECK(file.stages.at(0).description == "first one");
}

TEST_CASE("a trigger of a base image is one instruction") {
    const Instruction copy = parse_trigger(source_of("COPY --from=x a b"));
    CHECK(std::get<Copy>(copy.body).from->text == "x");
    const auto bad = GENERATE("", "RUN a\nRUN b", "FROM x", "ONBUILD RUN a", "MAINTAINER x", "BOGUS", "COPY a");
    CHECK_THROWS_AS(parse_trigger(source_of(bad)), ParseError);
}

TEST_CASE("the names of the instructions are known in any case") {
    for (const std::string_view name : keyword_names()) {
        const std::optional<Keyword> keyword = find_keyword(name);
        REQUIRE(keyword);
        CHECK(keyword_name(*keyword) == name);
    }
    CHECK(find_keyword("healthCheck") == Keyword::healthcheck);
    CHECK_FALSE(find_keyword("RUNN"));
    CHECK_FALSE(find_keyword(""));
}
