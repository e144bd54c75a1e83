#include "parser/shell_pattern.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild::parser;

TEST_CASE("the shortest and the longest match differ where a star is") {
    const ShellPattern pattern("*x");
    CHECK(pattern.without_prefix("axbxc", MatchLength::shortest) == "bxc");
    CHECK(pattern.without_prefix("axbxc", MatchLength::longest) == "c");
    const ShellPattern suffix("x*");
    CHECK(suffix.without_suffix("axbxc", MatchLength::shortest) == "axb");
    CHECK(suffix.without_suffix("axbxc", MatchLength::longest) == "a");
}

TEST_CASE("a pattern that does not match changes nothing") {
    CHECK(ShellPattern("y").without_prefix("abc", MatchLength::longest) == "abc");
    CHECK(ShellPattern("b").without_suffix("abc", MatchLength::longest) == "abc");
    CHECK(ShellPattern("y").replace_all("abc", "x") == "abc");
}

TEST_CASE("a question mark is one character, however many bytes it has") {
    CHECK(ShellPattern("?").without_prefix("\u00e9a", MatchLength::shortest) == "a");
}

TEST_CASE("an empty pattern is found before every character and at the end") {
    CHECK(ShellPattern("").replace_first("ab", "-") == "-ab");
    CHECK(ShellPattern("").replace_all("ab", "-") == "-a-b-");
}

TEST_CASE("matches do not overlap, and an empty one does not follow another") {
    CHECK(ShellPattern("aa").replace_all("aaaaa", "b") == "bba");
    CHECK(ShellPattern("*").replace_all("abc", "x") == "x");
}

TEST_CASE("stars stay within one line") {
    CHECK(ShellPattern("*").replace_all("a\nb", "x") == "x\nx");
}

TEST_CASE("escaped wildcards are literal and other escapes are refused") {
    CHECK(ShellPattern("\\*\\?\\\\").replace_all("-*?\\-", "x") == "-x-");
    CHECK(thrown_code([] { ShellPattern("\\n"); }) == "parse.bad-substitution");
    CHECK(thrown_code([] { ShellPattern("a\\"); }) == "parse.bad-substitution");
}
