// Small questions about text that the standard library leaves open. Everything here is pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::util {

/// 'text' for messages: control characters and invalid UTF-8 escaped, long text cut in the middle. So that no user
/// string can garble a terminal.
std::string quote(std::string_view text);

/// ASCII only, independent of the locale.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

std::string_view trim(std::string_view text, std::string_view blanks = " \t\r\n\v\f");
/// "a,,b" at ',' is {"a", "", "b"}; "" is {""}.
std::vector<std::string_view> split(std::string_view text, char separator);

bool is_valid_utf8(std::string_view text);

/// The candidate nearest to `word` (Levenshtein distance at most 2, and at most half the word), for "did you mean".
std::optional<std::string_view> nearest(std::string_view word, const std::vector<std::string_view>& candidates);

/// A whole decimal number; nothing if any other character is in it or it does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

/// "1.5 kB", "20 MB": decimal units, as docker prints them.
std::string human_size(std::uint64_t bytes);

}  // namespace imgbuild::util
