// A wildcard pattern, compiled. Shared by COPY's wildcards and ignore files, which differ in "**" only.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// Does "**" reach across directories ("**/" any number of them, none included), or is it two stars?
enum class DoubleStar { plain, directories };

/// Twice as long as the longest path of Linux.
inline constexpr std::size_t kMaxPatternBytes = 8192;

class GlobProgram {
public:
    /// Throws Error "parse.bad-pattern".
    GlobProgram(std::string_view pattern, DoubleStar double_star);

    /// Does it match all of `name`? Time: length of name × length of pattern, at most.
    bool matches(std::string_view name) const;

private:
    struct Range {
        char32_t first;
        char32_t last;
    };
    struct Element {
        enum class Kind {
            literal,      // code
            one,          // any character but '/'
            many,         // any number of them
            anything,     // any number of any characters
            directories,  // nothing, or what `inside` matches
            inside,       // any characters up to and including a '/'
            one_of,       // ranges
            none_of,      // ranges
        };
        Kind kind;
        char32_t code = 0;
        std::vector<Range> ranges;
    };

    void compile(std::string_view pattern, DoubleStar double_star);
    std::size_t compile_class(std::string_view pattern, std::size_t position);
    void add_reachable(std::vector<std::size_t>& states, std::size_t state) const;
    static bool accepts(const Element& element, char32_t code);

    std::vector<Element> elements_;
};

}  // namespace imgbuild::parser
