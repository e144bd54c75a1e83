// Matching follows all positions in the pattern at once, one character of the name after the other, so that no
// pattern makes it slower than the product of both lengths.

#include "parser/glob_program.hpp"

#include "parser/characters.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::parser {
namespace {

/// A byte that is no UTF-8 matches itself only, so it gets a code of its own above Unicode.
char32_t code_of(std::string_view text, std::size_t position, std::size_t& length) {
    const Character c = character_at(text, position);
    length = c.length;
    const bool broken = c.code == kNoCharacter && c.length == 1;
    return broken ? 0x110000U + static_cast<unsigned char>(text[position]) : c.code;
}

[[noreturn]] void reject_pattern(std::string_view pattern, std::string_view why) {
    reject("parse.bad-pattern", fmt::format("syntax error in pattern {}: {}", util::quote(pattern), why),
           "write \\ before a [, ] or - that is meant literally");
}

/// One character of a class, possibly escaped.
char32_t take_class_character(std::string_view pattern, std::size_t& position) {
    if (position < pattern.size() && (pattern[position] == '-' || pattern[position] == ']')) {
        reject_pattern(pattern, "a character is missing in [ ]");
    }
    if (position < pattern.size() && pattern[position] == '\\') {
        ++position;
    }
    if (position >= pattern.size()) {
        reject_pattern(pattern, "a [ is not closed");
    }
    std::size_t length = 0;
    const char32_t code = code_of(pattern, position, length);
    position += length;
    if (position >= pattern.size()) {
        reject_pattern(pattern, "a [ is not closed");
    }
    return code;
}

}  // namespace

GlobProgram::GlobProgram(std::string_view pattern, DoubleStar double_star) {
    if (pattern.size() > kMaxPatternBytes) {
        reject("parse.bad-pattern",
               fmt::format("pattern {} has more than {} bytes", util::quote(pattern), kMaxPatternBytes),
               "no path is as long");
    }
    compile(pattern, double_star);
}

void GlobProgram::compile(std::string_view pattern, DoubleStar double_star) {
    using enum Element::Kind;
    std::size_t position = 0;
    while (position < pattern.size()) {
        const char c = pattern[position];
        if (c == '*' && double_star == DoubleStar::directories && pattern.substr(position).starts_with("**")) {
            position += 2;
            const bool slash = position < pattern.size() && pattern[position] == '/';
            position += slash ? 1 : 0;
            if (position == pattern.size()) {
                elements_.push_back({anything, 0, {}});
            } else {
                elements_.push_back({directories, 0, {}});
                elements_.push_back({inside, 0, {}});
            }
            continue;
        }
        if (c == '*' || c == '?') {
            elements_.push_back({c == '*' ? many : one, 0, {}});
            ++position;
            continue;
        }
        if (c == '[') {
            position = compile_class(pattern, position + 1);
            continue;
        }
        if (c == '\\' && ++position == pattern.size()) {
            reject_pattern(pattern, "nothing follows the last \\");
        }
        std::size_t length = 0;
        const char32_t code = code_of(pattern, position, length);
        elements_.push_back({literal, code, {}});
        position += length;
    }
}

/// Reads a class from behind its "[" and returns the position behind its "]".
std::size_t GlobProgram::compile_class(std::string_view pattern, std::size_t position) {
    Element element{Element::Kind::one_of, 0, {}};
    if (position < pattern.size() && pattern[position] == '^') {
        element.kind = Element::Kind::none_of;
        ++position;
    }
    do {
        const char32_t first = take_class_character(pattern, position);
        char32_t last = first;
        if (pattern[position] == '-') {
            ++position;
            last = take_class_character(pattern, position);
        }
        if (last < first) {
            reject_pattern(pattern, "a range in [ ] ends before it begins");
        }
        element.ranges.push_back({first, last});
    } while (pattern[position] != ']');
    elements_.push_back(std::move(element));
    return position + 1;
}

bool GlobProgram::accepts(const Element& element, char32_t code) {
    const auto holds = [code](const Range& range) { return range.first <= code && code <= range.last; };
    switch (element.kind) {
        case Element::Kind::literal:
            return element.code == code;
        case Element::Kind::one:
        case Element::Kind::many:
            return code != U'/';
        case Element::Kind::anything:
        case Element::Kind::inside:
            return true;
        case Element::Kind::directories:
            return false;
        case Element::Kind::one_of:
            return std::any_of(element.ranges.begin(), element.ranges.end(), holds);
        case Element::Kind::none_of:
            return std::none_of(element.ranges.begin(), element.ranges.end(), holds);
    }
    return false;
}

/// Adds a position and those that it reaches without any character. Positions only grow, so `states` stays sorted
/// but for small disorder, which the caller removes.
void GlobProgram::add_reachable(std::vector<std::size_t>& states, std::size_t state) const {
    while (true) {
        states.push_back(state);
        if (state == elements_.size()) {
            return;
        }
        const Element::Kind kind = elements_[state].kind;
        if (kind == Element::Kind::directories) {
            states.push_back(state + 1);
            state += 2;
        } else if (kind == Element::Kind::many || kind == Element::Kind::anything) {
            ++state;
        } else {
            return;
        }
    }
}

bool GlobProgram::matches(std::string_view name) const {
    std::vector<std::size_t> now;
    std::vector<std::size_t> next;
    add_reachable(now, 0);
    for (std::size_t position = 0; position < name.size();) {
        std::size_t length = 0;
        const char32_t code = code_of(name, position, length);
        position += length;
        next.clear();
        for (const std::size_t state : now) {
            if (state == elements_.size() || !accepts(elements_[state], code)) {
                continue;
            }
            const Element::Kind kind = elements_[state].kind;
            if (kind == Element::Kind::inside) {
                next.push_back(state);
                if (code == U'/') {
                    add_reachable(next, state + 1);
                }
            } else {
                const bool stays = kind == Element::Kind::many || kind == Element::Kind::anything;
                add_reachable(next, stays ? state : state + 1);
            }
        }
        std::sort(next.begin(), next.end());
        next.erase(std::unique(next.begin(), next.end()), next.end());
        now.swap(next);
        if (now.empty()) {
            return false;
        }
    }
    return now.back() == elements_.size();
}

}  // namespace imgbuild::parser
