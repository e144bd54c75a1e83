// Shell patterns on names, by the rules of Go's path.Match: "*" and "?" stop at "/", "[a-z]" and "[^a-z]" are sets, "\"
// takes the next character as it is.
#include <imgbuild/error.hpp>

#include "oci/reference_parts.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <optional>

namespace imgbuild::oci {
namespace {

[[noreturn]] void refuse(std::string_view pattern) {
    throw UsageError({.code = "usage.bad-pattern",
                      .message = fmt::format("{} is not a pattern for image names", util::quote(pattern)),
                      .hint = "close every '[' and put a character behind every '\\'",
                      .where = {}});
}

class Matcher {
public:
    explicit Matcher(std::string_view pattern) : pattern_(pattern) {}

    bool matches(std::string_view text) const { return matches_from(0, text); }

    /// Walks through the pattern once, so that a malformed one is refused whatever the text is.
    void check() const {
        for (std::size_t at = 0; at < pattern_.size();) take(at, '\0');
    }

private:
    // Does the one-character piece at `at` (not "*") match `c`? Moves `at` behind the piece.
    bool take(std::size_t& at, char c) const {
        switch (pattern_[at]) {
            case '?':
                ++at;
                return c != '/';
            case '[':
                return take_set(at, c);
            default:
                return take_character(at) == c;
        }
    }

    char take_character(std::size_t& at) const {
        if (pattern_[at] == '\\') ++at;
        if (at >= pattern_.size()) refuse(pattern_);
        return pattern_[at++];
    }

    bool take_set(std::size_t& at, char c) const {
        ++at;
        const bool negated = at < pattern_.size() && pattern_[at] == '^';
        if (negated) ++at;
        bool found = false;
        for (bool first = true;; first = false) {
            if (at >= pattern_.size()) refuse(pattern_);
            if (pattern_[at] == ']' && !first) break;
            const char low = take_bound(at);
            char high = low;
            if (at < pattern_.size() && pattern_[at] == '-') high = take_bound(++at);
            found = found || (low <= c && c <= high);
        }
        ++at;
        return found != negated && c != '/';
    }

    char take_bound(std::size_t& at) const {
        if (at >= pattern_.size() || pattern_[at] == '-' || pattern_[at] == ']') refuse(pattern_);
        return take_character(at);
    }

    // One star is remembered at a time: the last one can always make up for what earlier ones took, since none of them
    // crosses a "/".
    bool matches_from(std::size_t at, std::string_view text) const {
        std::size_t i = 0;
        std::optional<std::size_t> star;
        std::size_t star_text = 0;
        while (i < text.size() || at < pattern_.size()) {
            if (at < pattern_.size() && pattern_[at] == '*') {
                star = ++at;
                star_text = i;
                continue;
            }
            if (at < pattern_.size() && i < text.size() && take(at, text[i])) {
                ++i;
                continue;
            }
            if (!star || star_text >= text.size() || text[star_text] == '/') return false;
            at = *star;
            i = ++star_text;
        }
        return true;
    }

    std::string_view pattern_;
};

}  // namespace

bool familiar_match(std::string_view pattern, const ReferenceParts& reference) {
    const Matcher matcher(pattern);
    matcher.check();
    return matcher.matches(reference.familiar()) || matcher.matches(reference.familiar_name());
}

}  // namespace imgbuild::oci
