// JSON as build files use it: lists of strings, and a member of an object. Our own small reader, since the peers'
// leniency is part of the format: an escaped half surrogate and bytes that are no UTF-8 become U+FFFD, and what is no
// JSON at all is a shell command, not an error.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// Arrays and objects nest at most so deep; deeper is no JSON.
inline constexpr std::size_t kMaxJsonDepth = 100;

struct JsonArray {
    enum class Kind {
        strings,      // a list of strings, in `items`
        other_items,  // a list with something else in it
        no_array,     // no JSON, or no list
    };
    struct Item {
        std::string text;
        /// The literal with its quotes in the text that was read.
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    Kind kind = Kind::no_array;
    std::vector<Item> items;
};

/// Blanks around are allowed, anything else after the list is not.
JsonArray parse_json_array(std::string_view text);

/// The value of a string member (its name in any case) of the one object that `text` is; nothing in all other cases.
std::optional<std::string> find_json_string_member(std::string_view text, std::string_view name);

}  // namespace imgbuild::parser
