#include "parser/ignore.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild::parser;

namespace {

IgnoreMatcher matcher(const std::vector<std::string>& patterns) {
    return IgnoreMatcher(patterns);
}

}  // namespace

TEST_CASE("an ignore file is read line by line") {
    CHECK(read_ignore_file("\xEF\xBB\xBF# c\r\n/a/\n\n #b\n!x//y \n") == std::vector<std::string>{"a", "#b", "!x/y"});
}

TEST_CASE("what lies below an excluded directory is excluded") {
    CHECK(matcher({"docs"}).excluded("docs/a/b"));
    CHECK_FALSE(matcher({"docs"}).excluded("src/docs"));
}

TEST_CASE("the last pattern that matches the path or a parent decides") {
    const IgnoreMatcher ignore = matcher({"docs", "!docs/keep", "docs/keep/no"});
    CHECK(ignore.excluded("docs/x"));
    CHECK_FALSE(ignore.excluded("docs/keep/a"));
    CHECK(ignore.excluded("docs/keep/no"));
}

TEST_CASE("two stars reach across directories") {
    CHECK(matcher({"**/*.o"}).excluded("a/b/c.o"));
    CHECK(matcher({"**/*.o"}).excluded("c.o"));
    CHECK(matcher({"a/**/z"}).excluded("a/z"));
    CHECK_FALSE(matcher({"abc/**"}).excluded("abc"));
    CHECK(matcher({"abc/**"}).excluded("abc/d/e"));
    CHECK_FALSE(matcher({"*.o"}).excluded("a/c.o"));
}

TEST_CASE("a directory is skipped only if nothing below can come back") {
    CHECK(matcher({"docs"}).can_skip("docs"));
    CHECK(matcher({"docs", "!src/a"}).can_skip("docs"));
    CHECK_FALSE(matcher({"docs", "!docs/a"}).can_skip("docs"));
    CHECK_FALSE(matcher({"docs", "!docs/*/a"}).can_skip("docs/b"));
    CHECK_FALSE(matcher({"*", "!**/*.md"}).can_skip("docs"));
    CHECK_FALSE(matcher({"docs"}).can_skip("src"));
}

TEST_CASE("skipping agrees with asking for every file") {
    // Whatever is skipped must have nothing included below it.
    const std::vector<std::string> pieces = {"a", "b", "*", "**", "[ab]", "a*", "?"};
    const std::vector<std::string> paths = {"a", "b", "a/a", "a/b", "b/a", "a/a/b", "a/b/a", "b/b/b"};
    for (const std::string& first : pieces) {
        for (const std::string& second : pieces) {
            for (const std::string& third : pieces) {
                const IgnoreMatcher ignore = matcher({first, "!" + second + "/" + third, third + "/" + first});
                for (const std::string& directory : paths) {
                    for (const std::string& path : paths) {
                        if (path.starts_with(directory + "/") && ignore.can_skip(directory)) {
                            CAPTURE(first, second, third, directory, path);
                            CHECK(ignore.excluded(path));
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("malformed patterns and endless lists are refused") {
    CHECK(thrown_code([] { matcher({"[a"}); }) == "parse.bad-pattern");
    CHECK(thrown_code([] { matcher({"!"}); }) == "parse.bad-pattern");
    CHECK(thrown_code([] { read_ignore_file(std::string(kMaxIgnoreBytes + 1, 'a')); }) ==
          "parse.ignore-file-too-large");
}

TEST_CASE("no patterns exclude nothing") {
    CHECK_FALSE(IgnoreMatcher().excluded("a"));
    CHECK(IgnoreMatcher().empty());
    CHECK(matcher({"a", "!b"}).has_exceptions());
}
