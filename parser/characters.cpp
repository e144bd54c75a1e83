#include "parser/characters.hpp"

#include <algorithm>
#include <array>

namespace imgbuild::parser {
namespace {

/// The length that a leading byte promises and the bits that it carries; length 0 for no leading byte.
struct Lead {
    std::size_t length;
    char32_t bits;
    char32_t smallest;
};

Lead lead_of(unsigned char byte) {
    if (byte < 0x80) {
        return {1, byte, 0};
    }
    if (byte >= 0xC2 && byte <= 0xDF) {
        return {2, byte & 0x1FU, 0x80};
    }
    if (byte >= 0xE0 && byte <= 0xEF) {
        return {3, byte & 0x0FU, 0x800};
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        return {4, byte & 0x07U, 0x10000};
    }
    return {0, 0, 0};
}

}  // namespace

Character character_at(std::string_view text, std::size_t offset) {
    const Lead lead = lead_of(static_cast<unsigned char>(text[offset]));
    if (lead.length == 0 || offset + lead.length > text.size()) {
        return {kNoCharacter, 1};
    }
    char32_t code = lead.bits;
    for (std::size_t i = 1; i < lead.length; ++i) {
        const auto byte = static_cast<unsigned char>(text[offset + i]);
        if ((byte & 0xC0U) != 0x80U) {
            return {kNoCharacter, 1};
        }
        code = (code << 6U) | (byte & 0x3FU);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < lead.smallest || code > 0x10FFFF || surrogate) {
        return {kNoCharacter, 1};
    }
    return {code, lead.length};
}

bool is_space(char32_t code) {
    static constexpr std::array<char32_t, 9> kOthers = {0x20,   0x85,   0xA0,   0x1680, 0x2028,
                                                        0x2029, 0x202F, 0x205F, 0x3000};
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x2000 && code <= 0x200A) ||
           std::find(kOthers.begin(), kOthers.end(), code) != kOthers.end();
}

bool is_name_character(char32_t code) {
    if (code < 0x80) {
        return is_digit(code) || code == U'_' || (code >= U'a' && code <= U'z') || (code >= U'A' && code <= U'Z');
    }
    const bool latin_letter =
        code == 0xAA || code == 0xB5 || code == 0xBA || (code >= 0xC0 && code != 0xD7 && code != 0xF7);
    const bool punctuation = (code >= 0x2000 && code <= 0x206F) || (code >= 0x2190 && code <= 0x2BFF) ||
                             (code >= 0x3000 && code <= 0x3004) || (code >= 0x3008 && code <= 0x3020) ||
                             (code >= 0xFF00 && code <= 0xFF0F) || (code >= 0x1F000 && code <= 0x1FAFF);
    return code != kNoCharacter && latin_letter && !punctuation && !is_space(code);
}

std::string_view trim_left(std::string_view text) {
    while (!text.empty()) {
        const Character c = character_at(text, 0);
        if (!is_space(c.code)) {
            break;
        }
        text.remove_prefix(c.length);
    }
    return text;
}

std::string_view trim_right(std::string_view text) {
    while (!text.empty()) {
        std::size_t start = text.size() - 1;
        while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80U) {
            --start;
        }
        const Character c = character_at(text, start);
        if (start + c.length != text.size() || !is_space(c.code)) {
            break;
        }
        text.remove_suffix(c.length);
    }
    return text;
}

std::string_view trim_spaces(std::string_view text) {
    return trim_right(trim_left(text));
}

void append_utf8(std::string& out, char32_t code) {
    const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0U | (code >> 6U));
        put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
        put(0xE0U | (code >> 12U));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    } else {
        put(0xF0U | (code >> 18U));
        put(0x80U | ((code >> 12U) & 0x3FU));
        put(0x80U | ((code >> 6U) & 0x3FU));
        put(0x80U | (code & 0x3FU));
    }
}

}  // namespace imgbuild::parser
