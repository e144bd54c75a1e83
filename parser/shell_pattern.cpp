// A pattern is matched by following all its positions at once, character by character, so that no pattern can make
// us try exponentially many ways.

#include "parser/shell_pattern.hpp"

#include "parser/characters.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::parser {
namespace {

constexpr std::size_t kNoMatch = static_cast<std::size_t>(-1);

void take_step(PatternBudget& budget) {
    if (budget.steps_left-- == 0) {
        budget.steps_left = 0;
        reject("parse.bad-substitution", "the pattern of a substitution is too expensive to match",
               "use a shorter pattern or a shorter value");
    }
}

std::string join(const std::vector<std::string_view>& characters, std::size_t begin, std::size_t end) {
    std::string result;
    for (std::size_t i = begin; i < end; ++i) {
        result.append(characters[i]);
    }
    return result;
}

}  // namespace

ShellPattern::ShellPattern(std::string_view text) : text_(text) {
    const Characters characters = split(text_);
    for (std::size_t i = 0; i < characters.size(); ++i) {
        std::string_view c = characters[i];
        if (c == "*" || c == "?") {
            elements_.push_back({c == "*" ? Element::Kind::any_text : Element::Kind::any_character, {}});
            continue;
        }
        if (c == "\\") {
            static constexpr std::string_view kEscapable = "*?\\/}";
            if (i + 1 == characters.size() || !kEscapable.contains(characters[i + 1])) {
                reject("parse.bad-substitution",
                       fmt::format("invalid pattern ({}) in substitution: invalid escape", shown(text)),
                       "only * ? \\ / and } may be escaped");
            }
            c = characters[++i];
        }
        elements_.push_back({Element::Kind::literal, c});
    }
}

ShellPattern::Characters ShellPattern::split(std::string_view value) {
    Characters result;
    for (std::size_t i = 0; i < value.size();) {
        const std::size_t length = character_at(value, i).length;
        result.push_back(value.substr(i, length));
        i += length;
    }
    return result;
}

/// The end of the shortest or longest match that begins at `from`, or kNoMatch.
std::size_t ShellPattern::match(const std::vector<Element>& elements, const Characters& value, std::size_t from,
                                MatchLength length, PatternBudget& budget) const {
    // Sorted positions in the pattern that the characters so far can have led to.
    std::vector<std::size_t> now{0};
    std::vector<std::size_t> next;
    std::size_t found = kNoMatch;
    for (std::size_t at = from;; ++at) {
        // "*" may stand for nothing, so its successor is reached as well.
        for (std::size_t i = 0; i < now.size(); ++i) {
            take_step(budget);
            const std::size_t state = now[i];
            if (state < elements.size() && elements[state].kind == Element::Kind::any_text &&
                (i + 1 == now.size() || now[i + 1] != state + 1)) {
                now.insert(now.begin() + static_cast<std::ptrdiff_t>(i) + 1, state + 1);
            }
        }
        if (!now.empty() && now.back() == elements.size()) {
            found = at;
            if (length == MatchLength::shortest) {
                return found;
            }
        }
        if (at == value.size() || now.empty()) {
            return found;
        }
        next.clear();
        const auto reach = [&next](std::size_t state) {
            if (next.empty() || next.back() < state) {
                next.push_back(state);
            }
        };
        for (const std::size_t state : now) {
            if (state == elements.size()) {
                continue;
            }
            const Element& element = elements[state];
            if (element.kind == Element::Kind::literal) {
                if (element.literal == value[at]) {
                    reach(state + 1);
                }
            } else if (value[at] != "\n") {
                reach(element.kind == Element::Kind::any_text ? state : state + 1);
            }
        }
        now.swap(next);
    }
}

std::string ShellPattern::without_prefix(std::string_view value, MatchLength length, PatternBudget& budget) const {
    const Characters characters = split(value);
    const std::size_t end = match(elements_, characters, 0, length, budget);
    return end == kNoMatch ? std::string(value) : join(characters, end, characters.size());
}

std::string ShellPattern::without_suffix(std::string_view value, MatchLength length, PatternBudget& budget) const {
    Characters characters = split(value);
    std::reverse(characters.begin(), characters.end());
    std::vector<Element> backwards(elements_.rbegin(), elements_.rend());
    const std::size_t end = match(backwards, characters, 0, length, budget);
    std::reverse(characters.begin(), characters.end());
    return end == kNoMatch ? std::string(value) : join(characters, 0, characters.size() - end);
}

std::string ShellPattern::replace_first(std::string_view value, std::string_view replacement,
                                        PatternBudget& budget) const {
    const Characters characters = split(value);
    for (std::size_t start = 0; start <= characters.size(); ++start) {
        const std::size_t end = match(elements_, characters, start, MatchLength::longest, budget);
        if (end != kNoMatch) {
            std::string result = join(characters, 0, start);
            result.append(replacement);
            return result + join(characters, end, characters.size());
        }
    }
    return std::string(value);
}

std::string ShellPattern::replace_all(std::string_view value, std::string_view replacement,
                                      PatternBudget& budget) const {
    const Characters characters = split(value);
    std::string result;
    std::size_t start = 0;
    std::size_t last_end = kNoMatch;
    while (start <= characters.size()) {
        const std::size_t end = match(elements_, characters, start, MatchLength::longest, budget);
        // An empty match right behind another match is a part of that one.
        const bool counts = end != kNoMatch && !(end == start && start == last_end);
        if (counts) {
            result.append(replacement);
            last_end = end;
            if (end > start) {
                start = end;
                continue;
            }
        }
        if (start < characters.size()) {
            result.append(characters[start]);
        }
        ++start;
    }
    return result;
}

}  // namespace imgbuild::parser
