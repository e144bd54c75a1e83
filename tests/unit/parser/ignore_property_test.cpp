// The ignore matcher against a reference that is slow and plain, on random patterns and random trees.

#include "parser/ignore.hpp"

#include "tests/support/catch.hpp"
#include "util/text.hpp"

#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace imgbuild::parser;
using imgbuild::util::split;

namespace {

using Parts = std::vector<std::string_view>;

bool matches_name(std::string_view pattern, std::string_view name) {
    if (pattern.empty()) {
        return name.empty();
    }
    if (pattern.front() == '*') {
        return matches_name(pattern.substr(1), name) || (!name.empty() && matches_name(pattern, name.substr(1)));
    }
    return !name.empty() && (pattern.front() == '?' || pattern.front() == name.front()) &&
           matches_name(pattern.substr(1), name.substr(1));
}

bool matches_parts(const Parts& pattern, std::size_t i, const Parts& path, std::size_t j) {
    if (i == pattern.size()) {
        return j == path.size();
    }
    if (pattern[i] == "**") {
        // At the end it needs something to match; elsewhere it may be nothing.
        if (i + 1 == pattern.size()) {
            return j < path.size();
        }
        return matches_parts(pattern, i + 1, path, j) || (j < path.size() && matches_parts(pattern, i, path, j + 1));
    }
    return j < path.size() && matches_name(pattern[i], path[j]) && matches_parts(pattern, i + 1, path, j + 1);
}

bool naively_excluded(const std::vector<std::string>& patterns, const std::string& path) {
    bool excluded = false;
    for (const std::string& written : patterns) {
        const bool exception = written.starts_with('!');
        const Parts pattern = split(std::string_view(written).substr(exception ? 1 : 0), '/');
        const Parts parts = split(path, '/');
        for (std::size_t length = 1; length <= parts.size(); ++length) {
            if (matches_parts(pattern, 0, Parts(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(length)),
                              0)) {
                excluded = !exception;
                break;
            }
        }
    }
    return excluded;
}

class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    std::vector<std::string> patterns() {
        static const std::vector<std::string> kNames = {"a", "b", "ab", "*", "a*", "*b", "?", "**", "a?", "*a*"};
        std::vector<std::string> result;
        const std::size_t count = 1 + random_() % 5;
        for (std::size_t i = 0; i < count; ++i) {
            result.push_back((random_() % 3 == 0 ? "!" : "") + joined(kNames, 3));
        }
        return result;
    }

    std::string path() {
        static const std::vector<std::string> kNames = {"a", "b", "ab", "ba", "aab"};
        return joined(kNames, 4);
    }

private:
    std::string joined(const std::vector<std::string>& names, std::size_t most) {
        std::string result = names[random_() % names.size()];
        for (std::size_t i = random_() % most; i > 0; --i) {
            result += "/" + names[random_() % names.size()];
        }
        return result;
    }

    std::mt19937 random_;
};

}  // namespace

TEST_CASE("the ignore matcher agrees with a naive one on random trees") {
    const unsigned seed = 20261125;
    CAPTURE(seed);
    Generator generator(seed);
    int excluded = 0;
    for (int round = 0; round < 1000; ++round) {
        const std::vector<std::string> patterns = generator.patterns();
        const IgnoreMatcher matcher(patterns);
        for (int i = 0; i < 20; ++i) {
            const std::string path = generator.path();
            CAPTURE(patterns, path);
            const bool expected = naively_excluded(patterns, path);
            REQUIRE(matcher.excluded(path) == expected);
            // What may be skipped has nothing below that comes back.
            if (matcher.can_skip(path)) {
                REQUIRE(expected);
                REQUIRE(naively_excluded(patterns, path + "/" + generator.path()));
            }
            excluded += expected ? 1 : 0;
        }
    }
    CHECK(excluded > 2500);
}
