#include "builder/lint/survey.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/lint_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using namespace imgbuild::builder::testing;

using Names = std::vector<std::string>;

TEST_CASE("a clean file has no findings") {
    CHECK(found_in("ARG V=1\nFROM alpine:$V AS base\nENV A=b\nRUN echo $C\nFROM base\nCMD [\"sh\"]\n").empty());
}

TEST_CASE("findings point at the words that are wrong, and know their instruction") {
    const Survey survey = survey_text("FROM alpine as base\nENV a=1 \\\n  token=2\n");
    REQUIRE(found_in(survey) == Names{"FromAsCasing:1", "SecretsUsedInArgOrEnv:2"});
    CHECK(survey.findings[0].span == Span{1, 13, 1, 15});
    CHECK(survey.findings[1].span == Span{3, 3, 3, 8});
}

TEST_CASE("variables are known from above, from the base image and from the base stage") {
    CHECK(found_in("FROM alpine\nCOPY $A $PATH\n") == Names{"UndefinedVar:2"});
    CHECK(found_in("FROM alpine\nARG A\nCOPY $A /\n").empty());
    CHECK(found_in("FROM alpine AS a\nENV A=b\nFROM a\nCOPY $A /\n").empty());
    CHECK(found_in("FROM alpine AS a\nARG A\nFROM a\nCOPY $A /\n").empty());
    CHECK(found_in("FROM alpine\nENV A=b B=$A\n") == Names{"UndefinedVar:2"});
    CHECK(found_in("FROM alpine\nARG A=b B=$A\n").empty());
    CHECK(found_in("FROM alpine\nRUN --mount=type=cache,target=$T true $U\n") == Names{"UndefinedVar:2"});
    CHECK(found_in("FROM alpine\nCOPY <<A <<'B' /\n$x\nA\n$y\nB\n") == Names{"UndefinedVar:2"});
}

TEST_CASE("an undefined variable is answered with the nearest one") {
    const Survey survey = survey_text("FROM alpine\nARG VERSION=1\nLABEL a=$VERSIN\n");
    REQUIRE(survey.findings.size() == 1);
    CHECK(survey.findings.front().detail == "Usage of undefined variable '$VERSIN' (did you mean $VERSION?)");
}

TEST_CASE("what a base that nobody knows may set is not found fault with") {
    SurveyOptions options = survey_options();
    options.image = {};
    const Survey survey =
        survey_text("FROM node\nCOPY $A /\nVOLUME $B\nWORKDIR ${C:?}\nEXPOSE $D\nLABEL a b\n", options);
    CHECK(found_in(survey) == Names{"LegacyKeyValueFormat:6"});
    CHECK_FALSE(survey.error);
    CHECK(survey.unknown_images == Names{"node"});
}

TEST_CASE("a file with errors is looked at up to the first") {
    CHECK(found_in("FROM alpine AS A\nMAINTAINER x\nBOGUS\nMAINTAINER y\ncmd x\n") ==
          Names{"StageNameCasing:1", "MaintainerDeprecated:2"});
    CHECK(found_in("FROM alpine AS A\nRUN <<EOF\n").empty());
}

TEST_CASE("what makes a build impossible ends the walk, with what was found before") {
    const auto [text, code, found] = GENERATE(table<std::string, std::string, Names>({
        {"FROM alpine\nLABEL a b\nVOLUME $V\nLABEL a b\n",
         "parse.bad-value",
         {"LegacyKeyValueFormat:2", "UndefinedVar:3"}},
        {"FROM $A\nLABEL a b\n", "parse.empty-base", {"UndefinedArgInFrom:1", "InvalidDefaultArgInFrom:1"}},
        {"FROM --platform=$X alpine\n", "parse.bad-value", {"UndefinedArgInFrom:1"}},
        {"FROM alpine\nSTOPSIGNAL SIGNONE\n", "parse.bad-value", {}},
        {"FROM alpine\nCOPY https://example.com/x /\n", "parse.bad-value", {}},
        {"FROM alpine\nCOPY --from=7 x /\n", "parse.unknown-stage", {}},
        {"# check=skip\nFROM alpine\nLABEL a b\n", "parse.bad-check", {}},
    }));
    const Survey survey = survey_text(text);
    REQUIRE(survey.error);
    CHECK(survey.error->code == code);
    CHECK(survey.error->span.line > 0);
    Names sorted = found_in(survey);
    Names expected = found;
    std::sort(sorted.begin(), sorted.end());
    std::sort(expected.begin(), expected.end());
    CHECK(sorted == expected);
}

TEST_CASE("check= at the top counts for the file, above an instruction for that, and a build argument for all") {
    const std::string two = "FROM alpine as a\nLABEL a b\n";
    CHECK(found_in(two) == Names{"FromAsCasing:1", "LegacyKeyValueFormat:2"});
    CHECK(found_in("# check=skip=all\n" + two).empty());
    CHECK(found_in("# check=skip=FromAsCasing\n" + two) == Names{"LegacyKeyValueFormat:3"});
    CHECK(found_in("FROM alpine\n# check=skip=LegacyKeyValueFormat // as the tool wants it\nLABEL a b\nLABEL c d\n") ==
          Names{"LegacyKeyValueFormat:4"});
    SurveyOptions options = survey_options();
    options.build.build_args = {{"BUILDKIT_DOCKERFILE_CHECK", "skip=LegacyKeyValueFormat"}};
    CHECK(found_in("# check=skip=all\n" + two, options) == Names{"FromAsCasing:2"});
}

TEST_CASE("error=true makes findings an error of the build") {
    const auto source =
        std::make_shared<const SourceFile>(SourceFile{"Buildfile", "# check=error=true\nFROM alpine as a\n"});
    const parser::BuildFile file = parser::parse_file(source);
    const Survey found = survey(file, survey_options());
    CHECK(found.findings_are_errors);
    CHECK_THROWS_WITH(found.require_clean(file), "lint violation found for rules: FromAsCasing");
    CHECK_NOTHROW(survey_text("FROM alpine as a\n").require_clean(file));
}

TEST_CASE("triggers of a base are looked at where they are carried out") {
    CHECK(found_in("FROM alpine AS a\nONBUILD LABEL a b\nFROM a\nRUN true\n") == Names{"LegacyKeyValueFormat:3"});
    // The trigger is carried out once and is gone then.
    CHECK(found_in("FROM alpine AS a\nONBUILD LABEL a b\nFROM a AS b\nFROM b\n") == Names{"LegacyKeyValueFormat:3"});
}

TEST_CASE("with a target only what it needs is looked at") {
    SurveyOptions options = survey_options();
    options.build.target = "b";
    CHECK(found_in("FROM alpine AS a\nLABEL a b\nFROM alpine AS b\nLABEL c d\nFROM alpine\nLABEL e f\n", options) ==
          Names{"LegacyKeyValueFormat:4"});
    CHECK(found_in("FROM alpine AS a\nLABEL a b\nFROM alpine AS b\nCOPY --from=a / /\n", options) ==
          Names{"LegacyKeyValueFormat:2"});
}

TEST_CASE("an outline has the arguments, secrets and agents that the target and its stages take") {
    const Survey survey = survey_text(
        "ARG TAG=1\n# BASE where it begins\nARG BASE=alpine:$TAG\nARG UNUSED\nFROM $BASE AS a\nARG OWN=x\n"
        "RUN --mount=type=secret,id=s-$OWN,required true\nFROM alpine AS other\nARG OTHER\nFROM a\n"
        "RUN --mount=type=ssh --mount=type=secret,target=/run/t true\nARG TAG\n");
    Names names;
    for (const ArgumentFact& fact : survey.facts.arguments) {
        names.push_back(fact.name + "=" + fact.value + ":" + std::to_string(fact.line) + fact.description);
    }
    CHECK(names == Names{"TAG=1:1", "BASE=alpine:1:3where it begins", "OWN=x:6"});
    REQUIRE(survey.facts.secrets.size() == 2);
    CHECK(survey.facts.secrets[0].id == "s-x");
    CHECK(survey.facts.secrets[0].required);
    CHECK(survey.facts.secrets[1].id == "t");
    REQUIRE(survey.facts.agents.size() == 1);
    CHECK(survey.facts.agents[0].id == "default");
}

TEST_CASE("files that the ignore file hides are found, but not what it may bring back") {
    const parser::IgnoreMatcher logs({"*.log", "dir"});
    const parser::IgnoreMatcher all({"*"});
    const parser::IgnoreMatcher exceptions({"*", "!a"});
    SurveyOptions options = survey_options();
    const auto found = [&](const parser::IgnoreMatcher& ignore, const std::string& line) {
        options.ignore = &ignore;
        return found_in("FROM alpine\n" + line + "\n", options).size();
    };
    CHECK(found(logs, "COPY a.log ./dir/x b.txt /") == 2);
    CHECK(found(logs, "COPY . /") == 0);
    CHECK(found(all, "ADD . /") == 1);
    CHECK(found(all, "ADD https://example.com/a.git /") == 0);
    CHECK(found(exceptions, "COPY b /") == 0);
    options.ignore = &all;
    CHECK(found_in("FROM alpine AS a\nFROM alpine\nCOPY --from=a x /\n", options).empty());
}

TEST_CASE("mending keeps the meaning and ends with a clean file") {
    const auto [before, after] = GENERATE(table<std::string, std::string>({
        {"from alpine AS Base\nCOPY a b\nCOPY c d\n", "FROM alpine AS base\nCOPY a b\nCOPY c d\n"},
        {"FROM alpine as b\nLABEL a b c\nENV d e\n", "FROM alpine AS b\nLABEL a=\"b c\"\nENV d=e\n"},
        {"FROM alpine\nMAINTAINER Jane \"J\" $1\n",
         "FROM alpine\nLABEL org.opencontainers.image.authors=\"Jane \\\"J\\\" \\$1\"\n"},
        {"FROM alpine\nCMD npm  start\n", "FROM alpine\nCMD [\"npm\", \"start\"]\n"},
        {"FROM scratch\nWORKDIR a/b\n", "FROM scratch\nWORKDIR /a/b\n"},
        {"FROM alpine\nRUN a \\\n\n\n  b\n", "FROM alpine\nRUN a \\\n  b\n"},
        {"FROM alpine\nEXPOSE 80/TCP\n", "FROM alpine\nEXPOSE 80/tcp\n"},
        {"FROM --platform=$TARGETPLATFORM alpine\n", "FROM alpine\n"},
    }));
    CHECK(mended(before) == after);
    CHECK(found_in(after).empty());
}

TEST_CASE("what cannot be mended without changing its meaning is left alone") {
    for (const std::string text :
         {"FROM alpine\nCMD echo $HOME\n", "FROM alpine\nCMD exec server\n", "FROM alpine\nCMD a && b\n",
          "FROM alpine\nENTRYPOINT [\"a\"]\nCMD b c\n", "FROM alpine\nENV a \"b c\"\n", "FROM alpine\nENV a b\\ c\n",
          "FROM alpine\nRUN <<EOF\na\nb\nEOF\n", "FROM alpine\nCOPY a /a\nRUN chown -R 1 /a\n"}) {
        CHECK_FALSE(found_in(text).empty());
        CHECK(mended(text) == text);
    }
}

TEST_CASE("a chain and a fan of many stages take no more room than one") {
    std::string text = "FROM alpine AS s0\n";
    for (int i = 1; i < 3000; ++i) {
        text += "FROM s" + std::to_string(i - 1) + " AS s" + std::to_string(i) + "\nENV E" + std::to_string(i) + "=1\n";
    }
    CHECK(found_in(text).empty());
}
