#include "parser/directives.hpp"

#include "parser/characters.hpp"
#include "parser/json_array.hpp"
#include "util/text.hpp"

#include <algorithm>

namespace imgbuild::parser {
namespace {

bool is_ascii_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view drop_byte_order_mark(std::string_view text) {
    return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

/// Cuts the first line off `rest`, without its line end.
std::string_view take_line(std::string_view& rest) {
    const std::size_t newline = rest.find('\n');
    std::string_view line = rest.substr(0, newline);
    rest = newline == std::string_view::npos ? std::string_view{} : rest.substr(newline + 1);
    while (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    return line;
}

Span whole_line(std::uint32_t number, std::string_view line) {
    return {number, 1, number, static_cast<std::uint32_t>(line.size()) + 1};
}

/// Looks for `name` in the block of directives behind `marker` that the text begins with.
std::optional<Directive> find_behind(std::string_view text, std::uint32_t first_line, std::string_view marker,
                                     std::string_view name) {
    for (std::uint32_t number = first_line; !text.empty(); ++number) {
        const std::string_view line = take_line(text);
        std::optional<Directive> directive = match_directive(line, marker);
        if (!directive || !is_known_directive(directive->name)) {
            return std::nullopt;
        }
        if (directive->name == name) {
            directive->span = whole_line(number, line);
            return directive;
        }
    }
    return std::nullopt;
}

}  // namespace

bool is_known_directive(std::string_view name) {
    return name == "syntax" || name == "escape" || name == "check";
}

std::optional<Directive> match_directive(std::string_view line, std::string_view marker) {
    if (!line.starts_with(marker)) {
        return std::nullopt;
    }
    line = trim_left(line.substr(marker.size()));
    const auto letter_or_digit = [](char c) { return is_ascii_letter(c) || (c >= '0' && c <= '9'); };
    const auto name_end = std::find_if_not(line.begin(), line.end(), letter_or_digit);
    const std::string_view name = line.substr(0, static_cast<std::size_t>(name_end - line.begin()));
    if (name.empty() || !is_ascii_letter(name.front())) {
        return std::nullopt;
    }
    line = trim_left(line.substr(name.size()));
    if (!line.starts_with('=')) {
        return std::nullopt;
    }
    const std::string_view value = trim_spaces(line.substr(1));
    if (value.empty()) {
        return std::nullopt;
    }
    return Directive{util::to_lower(name), std::string(value), {}};
}

std::optional<Directive> find_directive_in_any(std::string_view text, std::string_view name) {
    text = drop_byte_order_mark(text);
    std::uint32_t first_line = 1;
    if (text.starts_with("#!")) {
        take_line(text);
        first_line = 2;
    }
    for (const std::string_view marker : {std::string_view("#"), std::string_view("//")}) {
        if (std::optional<Directive> found = find_behind(text, first_line, marker, name)) {
            return found;
        }
    }
    if (std::optional<std::string> value = find_json_string_member(text, name); value && !value->empty()) {
        return Directive{std::string(name), *value, {first_line, 1, first_line, 1}};
    }
    return std::nullopt;
}

}  // namespace imgbuild::parser
