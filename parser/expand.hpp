// Variables, quotes and escapes in a word.
//
//   $v ${v}             the value, or nothing if v is unset
//   ${v:-w} ${v-w}      w if v is unset (":": or empty)
//   ${v:+w} ${v+w}      w if v is set (":": and not empty), else nothing
//   ${v:?m} ${v?m}      an error with message m if v is unset (":": or empty)
//   ${v#p} ${v##p}      without the shortest (longest) prefix that p matches; p knows * ? and the escape character
//   ${v%p} ${v%%p}      the same with suffixes
//   ${v/p/r} ${v//p/r}  the first (every) longest match of p replaced by r
// w, m, p and r may hold variables themselves. 'single quotes' keep everything, "double quotes" keep everything but
// variables and escaped characters, the escape character keeps the next character.
#pragma once

#include <imgbuild/error.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::parser {

/// Name → value, nothing if unset.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

/// The pairs as an environment; of two with the same name the later one counts. The list is copied.
Environment environment_of(std::vector<std::pair<std::string, std::string>> pairs);

/// What stays in the text as it is written.
struct ExpandMode {
    bool raw_quotes = false;
    bool raw_escapes = false;
    /// An unset variable stays as "$v" or "${v…}" instead of vanishing.
    bool skip_unset = false;
    /// Quotes have no meaning at all, not even to hide variables (heredoc bodies).
    bool ignore_quotes = false;
};

struct Expansion {
    std::string text;
    /// Variables that were asked for and set, and asked for and unset, whether a default stood in or not.
    std::set<std::string, std::less<>> matched;
    std::set<std::string, std::less<>> unmatched;
};

/// How deep "${a:-${b:-…}}" may nest, and how many bytes a result may have, and so the values that are looked up for
/// it.
inline constexpr std::size_t kMaxExpansionDepth = 64;
inline constexpr std::size_t kMaxExpandedBytes = std::size_t{16} << 20;

/// Expands words with one environment. Cheap to make; refers to nothing but what it copied.
/// Every call throws Error with code "parse.bad-substitution" (or "parse.required-variable" for ":?") if the word is
/// malformed or too deep; give the place of the word as `where` to have it in the error.
class WordExpander {
public:
    explicit WordExpander(Environment environment, char escape = '\\', ExpandMode mode = {})
        : environment_(std::move(environment)), escape_(escape), mode_(mode) {}

    /// To one text; blanks stay.
    std::string expand(std::string_view word, const SourceSpan& where = {}) const;
    /// As expand(), and says which variables were met.
    Expansion expand_with_uses(std::string_view word, const SourceSpan& where = {}) const;
    /// To words split at blanks outside of quotes, blanks in the values of variables included. Empty words vanish,
    /// even quoted ones.
    std::vector<std::string> expand_words(std::string_view word, const SourceSpan& where = {}) const;
    /// A heredoc's body: variables and escapes are resolved, quotes are ordinary characters.
    std::string expand_text(std::string_view text, const SourceSpan& where = {}) const;

private:
    Environment environment_;
    char escape_;
    ExpandMode mode_;
};

}  // namespace imgbuild::parser
