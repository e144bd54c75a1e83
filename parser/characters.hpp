// Characters as the language counts them: UTF-8, with the classes of Unicode where those of ASCII are not enough.
// Bytes that are no UTF-8 count as one character each and belong to no class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace imgbuild::parser {

struct Character {
    /// kNoCharacter for a byte that is no UTF-8.
    char32_t code = 0;
    /// In bytes, at least 1.
    std::size_t length = 1;
};

inline constexpr char32_t kNoCharacter = 0xFFFD;

/// The character at `offset`, which must be inside the text.
Character character_at(std::string_view text, std::size_t offset);

/// White space of Unicode, as Go's unicode.IsSpace has it.
bool is_space(char32_t code);
/// May it be part of a variable's name? ASCII letters, digits and "_", and everything above ASCII but spaces and
/// punctuation of the general block: the peers allow any letter of Unicode.
bool is_name_character(char32_t code);
inline bool is_digit(char32_t code) {
    return code >= U'0' && code <= U'9';
}

/// The blanks that separate words on an instruction's line; a newline is none.
inline constexpr std::string_view kBlanks = " \t\v\f\r";

/// Without white space of Unicode at the start, at the end, on both sides.
std::string_view trim_left(std::string_view text);
std::string_view trim_right(std::string_view text);
std::string_view trim_spaces(std::string_view text);

/// Appends a code point as UTF-8.
void append_utf8(std::string& out, char32_t code);

}  // namespace imgbuild::parser
