#include "parser/ignore.hpp"

#include "parser/characters.hpp"
#include "parser/glob.hpp"
#include "parser/glob_program.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

void check_size(std::size_t size, std::size_t limit, std::string_view what) {
    if (size > limit) {
        reject("parse.ignore-file-too-large", fmt::format("the ignore file has {} {}, more than {}", size, what, limit),
               "use patterns in place of lists of files");
    }
}

/// Can a path below `directory` match? True when in doubt.
bool may_match_below(std::string_view pattern, std::string_view directory) {
    const std::vector<std::string_view> parts = util::split(pattern, '/');
    const std::vector<std::string_view> names = util::split(directory, '/');
    for (std::size_t i = 0; i < parts.size() && i < names.size(); ++i) {
        if (parts[i].contains("**")) {
            return true;
        }
        // A class may hold a "/", so a pattern with one is not cut into parts.
        if (parts[i].contains('[') || parts[i].contains('\\')) {
            return true;
        }
        if (!match_glob(parts[i], names[i])) {
            return false;
        }
    }
    return true;
}

/// The stretches of a pattern that stand for themselves. A class may be anything, so nothing behind one is looked at.
std::vector<std::string> literal_pieces(std::string_view pattern) {
    std::vector<std::string> pieces(1);
    for (std::size_t i = 0; i < pattern.size() && pattern[i] != '['; ++i) {
        if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '/') {
            pieces.emplace_back();
        } else {
            i += pattern[i] == '\\' && i + 1 < pattern.size() ? 1 : 0;
            pieces.back().push_back(pattern[i]);
        }
    }
    std::erase_if(pieces, [](const std::string& piece) { return piece.empty(); });
    return pieces;
}

}  // namespace

struct IgnoreMatcher::Pattern {
    std::string text;
    bool exception;
    /// Most patterns are plain names; they need no program.
    bool literal;
    GlobProgram program;
    /// What stands between the wildcards: every path that matches has them all, in this order.
    std::vector<std::string> pieces;

    /// Does it match the path or one of its parents?
    bool matches_any(const std::vector<std::string_view>& with_parents) const {
        const std::string_view path = with_parents.back();
        if (literal) {
            return path.starts_with(text) && (path.size() == text.size() || path[text.size()] == '/');
        }
        // Looking for the pieces is many times cheaper than the program, and most patterns do not match most paths.
        return has_pieces(path) && std::any_of(with_parents.begin(), with_parents.end(),
                                               [this](std::string_view name) { return program.matches(name); });
    }

    bool has_pieces(std::string_view path) const {
        std::size_t position = 0;
        for (const std::string& piece : pieces) {
            position = path.find(piece, position);
            if (position == std::string_view::npos) {
                return false;
            }
            position += piece.size();
        }
        return true;
    }
};

std::vector<std::string> read_ignore_file(std::string_view text) {
    check_size(text.size(), kMaxIgnoreBytes, "bytes");
    if (text.starts_with("\xEF\xBB\xBF")) {
        text.remove_prefix(3);
    }
    std::vector<std::string> result;
    for (std::string_view line : util::split(text, '\n')) {
        if (line.starts_with('#')) {
            continue;
        }
        line = trim_spaces(line);
        if (line.empty()) {
            continue;
        }
        const bool exception = line.starts_with('!');
        line = exception ? trim_spaces(line.substr(1)) : line;
        std::string pattern = line.empty() ? std::string() : clean_pattern(line);
        if (pattern.size() > 1 && pattern.starts_with('/')) {
            pattern.erase(0, 1);
        }
        result.push_back(exception ? "!" + pattern : pattern);
        check_size(result.size(), kMaxIgnorePatterns, "patterns");
    }
    return result;
}

IgnoreMatcher::IgnoreMatcher() = default;
IgnoreMatcher::~IgnoreMatcher() = default;
IgnoreMatcher::IgnoreMatcher(IgnoreMatcher&&) noexcept = default;
IgnoreMatcher& IgnoreMatcher::operator=(IgnoreMatcher&&) noexcept = default;

IgnoreMatcher::IgnoreMatcher(const std::vector<std::string>& patterns) {
    check_size(patterns.size(), kMaxIgnorePatterns, "patterns");
    for (const std::string& written : patterns) {
        std::string_view text = trim_spaces(written);
        if (text.empty()) {
            continue;
        }
        const bool exception = text.starts_with('!');
        text.remove_prefix(exception ? 1 : 0);
        if (text.empty()) {
            reject("parse.bad-pattern", "illegal exclusion pattern: \"!\"", "name what is to be kept behind the !");
        }
        std::string cleaned = clean_pattern(text);
        GlobProgram program(cleaned, DoubleStar::directories);
        const bool literal = !has_wildcard(cleaned);
        std::vector<std::string> pieces = literal_pieces(cleaned);
        patterns_.push_back({std::move(cleaned), exception, literal, std::move(program), std::move(pieces)});
        has_exceptions_ = has_exceptions_ || exception;
    }
}

bool IgnoreMatcher::excluded(std::string_view path) const {
    const std::string cleaned = clean_pattern(path);
    std::vector<std::string_view> with_parents;
    for (std::size_t end = cleaned.find('/', 1); end != std::string::npos; end = cleaned.find('/', end + 1)) {
        with_parents.push_back(std::string_view(cleaned).substr(0, end));
    }
    with_parents.push_back(cleaned);
    const auto decides = [&with_parents](const Pattern& pattern) { return pattern.matches_any(with_parents); };
    const auto last = std::find_if(patterns_.rbegin(), patterns_.rend(), decides);
    return last != patterns_.rend() && !last->exception;
}

bool IgnoreMatcher::can_skip(std::string_view directory) const {
    const std::string cleaned = clean_pattern(directory);
    return excluded(cleaned) && std::none_of(patterns_.begin(), patterns_.end(), [&cleaned](const Pattern& pattern) {
               return pattern.exception && may_match_below(pattern.text, cleaned);
           });
}

bool IgnoreMatcher::empty() const {
    return patterns_.empty();
}

bool IgnoreMatcher::has_exceptions() const {
    return has_exceptions_;
}

bool IgnoreMatcher::excludes_everything() const {
    return !has_exceptions_ && std::any_of(patterns_.begin(), patterns_.end(), [](const Pattern& pattern) {
        return pattern.text == "*" || pattern.text == "**" || pattern.text == "**/*";
    });
}

}  // namespace imgbuild::parser
