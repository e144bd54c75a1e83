#include "parser/expand.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

const Environment kEnvironment =
    environment_of({{"A", "one"}, {"EMPTY", ""}, {"PATHS", "/usr/lib/a.so.1"}, {"SPACED", "x  y"}});

std::string expand(std::string_view word, ExpandMode mode = {}) {
    return WordExpander(kEnvironment, '\\', mode).expand(word);
}

std::vector<std::string> words(std::string_view word) {
    return WordExpander(kEnvironment).expand_words(word);
}

}  // namespace

TEST_CASE("every form of a variable gives what the shell gives") {
    const auto [word, expected] = GENERATE(table<std::string, std::string>({{"$A", "one"},
                                                                            {"x${A}y", "xoney"},
                                                                            {"$NONE", ""},
                                                                            {"${NONE:-d}", "d"},
                                                                            {"${EMPTY:-d}", "d"},
                                                                            {"${EMPTY-d}", ""},
                                                                            {"${A:+set}", "set"},
                                                                            {"${EMPTY:+set}", ""},
                                                                            {"${EMPTY+set}", "set"},
                                                                            {"${A:?m}", "one"},
                                                                            {"${PATHS#*/}", "usr/lib/a.so.1"},
                                                                            {"${PATHS##*/}", "a.so.1"},
                                                                            {"${PATHS%.*}", "/usr/lib/a.so"},
                                                                            {"${PATHS%%.*}", "/usr/lib/a"},
                                                                            {"${PATHS/a/b}", "/usr/lib/b.so.1"},
                                                                            {"${PATHS//\\//:}", ":usr:lib:a.so.1"},
                                                                            {"${NONE:-${A}-${NONE-z}}", "one-z"},
                                                                            {"$.", "$."},
                                                                            {"$1x", "x"}}));
    CHECK(expand(word) == expected);
}

TEST_CASE("quotes and escapes protect what the shell says they protect") {
    const auto [word, expected] = GENERATE(table<std::string, std::string>({{"'$A'", "$A"},
                                                                            {"\"$A\"", "one"},
                                                                            {"\\$A", "$A"},
                                                                            {"\"\\$A\"", "$A"},
                                                                            {"\"a\\b\"", "a\\b"},
                                                                            {"a\\b", "ab"},
                                                                            {"end\\", "end"},
                                                                            {"'a'\"b\"c", "abc"}}));
    CHECK(expand(word) == expected);
}

TEST_CASE("another escape character leaves the backslash alone") {
    const WordExpander expander(kEnvironment, '`');
    CHECK(expander.expand("a\\b`$A") == "a\\b$A");
}

TEST_CASE("words are split after variables are known, but not inside quotes") {
    CHECK(words("a $SPACED") == std::vector<std::string>{"a", "x", "y"});
    CHECK(words("\"$SPACED\" b\\ c") == std::vector<std::string>{"x  y", "b c"});
    CHECK(words("  ").empty());
}

TEST_CASE("modes keep the text as it was written") {
    CHECK(expand("'$A' $NONE", {.raw_quotes = true}) == "'$A' ");
    CHECK(expand("a\\ b", {.raw_escapes = true}) == "a\\ b");
    CHECK(expand("$NONE ${NONE} ${NONE:-x}", {.skip_unset = true}) == "$NONE ${NONE} ${NONE:-x}");
}

TEST_CASE("quotes in a heredoc's body are ordinary characters") {
    CHECK(WordExpander(kEnvironment).expand_text("it's \"$A\" and \\$A") == "it's \"one\" and $A");
}

TEST_CASE("an expansion says which variables it met") {
    const Expansion expansion = WordExpander(kEnvironment).expand_with_uses("$A ${NONE:-$EMPTY}");
    CHECK(expansion.matched == std::set<std::string, std::less<>>{"A", "EMPTY"});
    CHECK(expansion.unmatched == std::set<std::string, std::less<>>{"NONE"});
}

TEST_CASE("a malformed word is an error that quotes it") {
    const auto word = GENERATE("${", "${A", "${}", "${A:=x}", "${A^^}", "'open", "\"open", "${A/x}", "${A#\\x}");
    CHECK(thrown_code([&] { expand(word); }) == "parse.bad-substitution");
    CHECK_THROWS_WITH(expand(word), Catch::Contains("failed to process"));
}

TEST_CASE("a variable that must be set stops with its own message and place") {
    const auto file = source_of("FROM ${BASE:?choose one}");
    const Span span{1, 6, 1, 25};
    try {
        WordExpander(kEnvironment).expand("${BASE:?choose one}", {file, span});
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.code() == "parse.required-variable");
        CHECK(error.message().ends_with("BASE: choose one"));
        REQUIRE(error.where());
        CHECK(error.where()->span == span);
    }
}

TEST_CASE("hostile words end in an error, not in a crash or a long wait") {
    std::string deep;
    for (int i = 0; i < 100000; ++i) {
        deep += "${N:-";
    }
    CHECK(thrown_code([&] { expand(deep); }) == "parse.bad-substitution");

    const std::string big(1 << 20, 'a');
    const WordExpander expander(environment_of({{"BIG", big}}));
    std::string many;
    for (int i = 0; i < 100; ++i) {
        many += "$BIG";
    }
    CHECK(thrown_code([&] { expander.expand(many); }) == "parse.bad-substitution");
    std::string dropped;
    for (int i = 0; i < 1000; ++i) {
        dropped += "${NONE:+$BIG}";
    }
    CHECK(thrown_code([&] { expander.expand(dropped); }) == "parse.bad-substitution");
    CHECK(thrown_code([&] { expander.expand("${BIG//*a*a*a*a*a*a*ab/x}"); }) == "parse.bad-substitution");
}
