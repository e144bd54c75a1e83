#include "parser/shell_pattern.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild::parser;

namespace {

PatternBudget budget;

}  // namespace

TEST_CASE("the shortest and the longest match differ where a star is") {
    const ShellPattern pattern("*x");
    CHECK(pattern.without_prefix("axbxc", MatchLength::shortest, budget) == "bxc");
    CHECK(pattern.without_prefix("axbxc", MatchLength::longest, budget) == "c");
    const ShellPattern suffix("x*");
    CHECK(suffix.without_suffix("axbxc", MatchLength::shortest, budget) == "axb");
    CHECK(suffix.without_suffix("axbxc", MatchLength::longest, budget) == "a");
}

TEST_CASE("a pattern that does not match changes nothing") {
    CHECK(ShellPattern("y").without_prefix("abc", MatchLength::longest, budget) == "abc");
    CHECK(ShellPattern("b").without_suffix("abc", MatchLength::longest, budget) == "abc");
    CHECK(ShellPattern("y").replace_all("abc", "x", budget) == "abc");
}

TEST_CASE("a question mark is one character, however many bytes it has") {
    CHECK(ShellPattern("?").without_prefix("\u00e9a", MatchLength::shortest, budget) == "a");
}

TEST_CASE("an empty pattern is found before every character and at the end") {
    CHECK(ShellPattern("").replace_first("ab", "-", budget) == "-ab");
    CHECK(ShellPattern("").replace_all("ab", "-", budget) == "-a-b-");
}

TEST_CASE("matches do not overlap, and an empty one does not follow another") {
    CHECK(ShellPattern("aa").replace_all("aaaaa", "b", budget) == "bba");
    CHECK(ShellPattern("*").replace_all("abc", "x", budget) == "x");
}

TEST_CASE("stars stay within one line") {
    CHECK(ShellPattern("*").replace_all("a\nb", "x", budget) == "x\nx");
}

TEST_CASE("escaped wildcards are literal and other escapes are refused") {
    CHECK(ShellPattern("\\*\\?\\\\").replace_all("-*?\\-", "x", budget) == "-x-");
    CHECK(thrown_code([] { ShellPattern("\\n"); }) == "parse.bad-substitution");
    CHECK(thrown_code([] { ShellPattern("a\\"); }) == "parse.bad-substitution");
}

TEST_CASE("a budget that is used up stops the next match as well") {
    PatternBudget small{10};
    CHECK(thrown_code([&] { ShellPattern("*b").replace_all("aaaaaaaa", "x", small); }) == "parse.bad-substitution");
    CHECK(thrown_code([&] { ShellPattern("a").replace_all("a", "x", small); }) == "parse.bad-substitution");
}
