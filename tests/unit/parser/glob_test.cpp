#include "parser/glob.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild::parser;

TEST_CASE("wildcards match within one name") {
    const auto [pattern, name, matches] = GENERATE(table<std::string, std::string, bool>({
        {"*.c", "a.c", true},
        {"*.c", "d/a.c", false},
        {"a?b", "a\u263ab", true},
        {"a?b", "a/b", false},
        {"[a-c]x", "bx", true},
        {"[^a-c]x", "bx", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a*b*c", "aXbYbZc", true},
        {"", "", true},
        {"*", "", true},
        {"**", "a/b", false},
        {"d/*/f", "d/e/f", true},
        {"[\\-x]", "-", true},
        {"\xFF*", "\xFFz", true},
        {"a", "ab", false},
    }));
    CAPTURE(pattern, name);
    CHECK(match_glob(pattern, name) == matches);
}

TEST_CASE("a malformed pattern is an error whatever the name") {
    const auto pattern = GENERATE("[", "[a", "[]", "[-]", "[a-]", "a\\", "[^", "[z-a]", "x[");
    CHECK(thrown_code([&] { match_glob(pattern, "q"); }) == "parse.bad-pattern");
}

TEST_CASE("many stars cost no more than the product of the lengths") {
    std::string pattern;
    for (int i = 0; i < 600; ++i) {
        pattern += "*a";
    }
    CHECK_FALSE(match_glob(pattern, std::string(599, 'a')));
    CHECK(match_glob(pattern, std::string(600, 'a')));
}

TEST_CASE("patterns longer than any path are refused") {
    CHECK(thrown_code([] { match_glob(std::string(8193, 'a'), "a"); }) == "parse.bad-pattern");
}

TEST_CASE("cleaning resolves dots and doubled slashes") {
    const auto [path, cleaned] = GENERATE(table<std::string, std::string>({{"", "."},
                                                                           {"a//b/", "a/b"},
                                                                           {"./a/../b", "b"},
                                                                           {"../a", "../a"},
                                                                           {"/../a", "/a"},
                                                                           {"/", "/"},
                                                                           {"a/..", "."}}));
    CHECK(clean_pattern(path) == cleaned);
}

TEST_CASE("wildcards are recognised") {
    CHECK(has_wildcard("a*"));
    CHECK(has_wildcard("a\\b"));
    CHECK_FALSE(has_wildcard("a.b"));
}
