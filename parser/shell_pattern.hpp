// The patterns of ${v#p}, ${v%p} and ${v/p/r}: "*" is any text, "?" any character, both within one line; "\" takes
// the meaning of "*", "?" and itself away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

enum class MatchLength { shortest, longest };

/// Steps that matching may still take, so that hostile patterns cost a bounded time, however many there are. One step
/// is one position of the pattern at one character of the value.
struct PatternBudget {
    std::uint64_t steps_left = std::uint64_t{1} << 24;
};

/// Compiled. All functions take from the budget, and throw Error "parse.bad-substitution" when it is used up.
class ShellPattern {
public:
    /// Throws Error "parse.bad-substitution" for an escape of any other character. "\/" and "\}" are allowed, as
    /// these characters must be escaped inside "${…}".
    explicit ShellPattern(std::string_view text);

    std::string without_prefix(std::string_view value, MatchLength length, PatternBudget& budget) const;
    std::string without_suffix(std::string_view value, MatchLength length, PatternBudget& budget) const;
    /// The leftmost longest match, or all of them that do not overlap.
    std::string replace_first(std::string_view value, std::string_view replacement, PatternBudget& budget) const;
    std::string replace_all(std::string_view value, std::string_view replacement, PatternBudget& budget) const;

private:
    struct Element {
        enum class Kind { literal, any_character, any_text };
        Kind kind;
        /// One character of UTF-8.
        std::string_view literal;
    };
    using Characters = std::vector<std::string_view>;

    static Characters split(std::string_view value);
    std::size_t match(const std::vector<Element>& elements, const Characters& value, std::size_t from,
                      MatchLength length, PatternBudget& budget) const;

    /// Elements point into it.
    std::string text_;
    std::vector<Element> elements_;
};

}  // namespace imgbuild::parser
