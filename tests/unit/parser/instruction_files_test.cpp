#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

std::string code_of(const std::string& line) {
    return error_code("FROM base\n" + line + "\n");
}

}  // namespace

TEST_CASE("COPY reads sources, destination and all of its flags") {
    const Copy copy =
        only<Copy>("COPY --from=x --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=$E a b /c/");
    CHECK(copy.from->text == "x");
    CHECK(copy.files.chown->text == "1:2");
    CHECK(copy.files.chmod->text == "u+x");
    CHECK(copy.files.link);
    CHECK(copy.parents);
    CHECK(copy.files.excludes.size() == 2);
    CHECK(copy.files.sources.size() == 2);
    CHECK(copy.files.destination.text == "/c/");
}

TEST_CASE("ADD has flags of its own") {
    const Add add = only<Add>("ADD --keep-git-dir --checksum=sha256:1 --unpack=false http://x/y /z");
    CHECK(add.keep_git_dir == true);
    CHECK(add.checksum->text == "sha256:1");
    CHECK(add.unpack == false);
    CHECK_FALSE(only<Add>("ADD a b").unpack);
}

TEST_CASE("a list lets names have blanks") {
    const Copy copy = only<Copy>("COPY [\"a b\", \"<<EOF\", \"c d\"]");
    CHECK(copy.files.sources.at(0).text == "a b");
    CHECK(copy.files.sources.at(1).text == "<<EOF");
    CHECK(copy.files.destination.text == "c d");
}

TEST_CASE("flags are checked") {
    const auto [line, code] = GENERATE(table<std::string, std::string>({
        {"COPY --checksum=x a b", "parse.unknown-flag"},
        {"ADD --from=x a b", "parse.unknown-flag"},
        {"COPY --from=x --from=y a b", "parse.duplicate-flag"},
        {"COPY --from a b", "parse.missing-value"},
        {"COPY --link= a b", "parse.missing-value"},
        {"COPY --link=maybe a b", "parse.bad-flag-value"},
    }));
    CHECK(code_of(line) == code);
}

TEST_CASE("a heredoc can be a source and not the destination") {
    const Copy copy = only<Copy>("COPY a <<'E' /d\n$x\nE");
    CHECK(copy.files.sources.size() == 1);
    REQUIRE(copy.files.heredocs.size() == 1);
    CHECK(copy.files.heredocs[0].name == "E");
    CHECK_FALSE(copy.files.heredocs[0].expand);
    CHECK(code_of("COPY a <<E\nE") == "parse.wrong-arguments");
}

TEST_CASE("a variable in --from is refused with the way out") {
    const BuildFile file = parse("FROM a\nCOPY --from=$x a b\nRUN --mount=from=$x,target=/y c\n");
    CHECK(error_codes(file) == std::vector<std::string>{"parse.variable-in-from", "parse.variable-in-mount-from"});
    for (const Diagnostic& diagnostic : file.diagnostics) {
        CHECK(diagnostic.hint.find("FROM $image AS name") != std::string::npos);
    }
}

TEST_CASE("a flag with an empty value is as good as absent") {
    const Copy copy = only<Copy>("COPY --from= --chown= a b");
    CHECK_FALSE(copy.from);
    CHECK_FALSE(copy.files.chown);
}
