#include "parser/json_array.hpp"

#include "parser/characters.hpp"
#include "util/text.hpp"

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

/// Reads values from the left. Every function returns whether the text was JSON so far; a false is final.
class JsonReader {
public:
    explicit JsonReader(std::string_view text) : text_(text) {}

    void skip_blanks() { position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size()); }
    bool at_end() const { return position_ >= text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[position_]; }
    std::size_t position() const { return position_; }

    bool take(char wanted) {
        if (peek() != wanted || at_end()) {
            return false;
        }
        ++position_;
        return true;
    }

    bool read_string(std::string& out);
    bool skip_value(std::size_t depth);

private:
    bool read_escape(std::string& out);
    bool read_hex(char32_t& out);
    void read_unicode(std::string& out, char32_t code);
    bool skip_word();
    bool skip_number();
    bool skip_digits();
    bool skip_members(char close, bool with_names, std::size_t depth);

    std::string_view text_;
    std::size_t position_ = 0;
};

bool JsonReader::read_string(std::string& out) {
    if (!take('"')) {
        return false;
    }
    while (!at_end()) {
        const Character c = character_at(text_, position_);
        if (c.code < 0x20) {
            return false;
        }
        position_ += c.length;
        if (c.code == U'"') {
            return true;
        }
        if (c.code != U'\\') {
            append_utf8(out, c.code);
        } else if (!read_escape(out)) {
            return false;
        }
    }
    return false;
}

bool JsonReader::read_escape(std::string& out) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = peek();
    ++position_;
    if (letter == 'u') {
        char32_t code = 0;
        if (!read_hex(code)) {
            return false;
        }
        read_unicode(out, code);
        return true;
    }
    const std::size_t index = letter == '\0' ? std::string_view::npos : kLetters.find(letter);
    if (index == std::string_view::npos) {
        return false;
    }
    out.push_back(kMeanings[index]);
    return true;
}

bool JsonReader::read_hex(char32_t& out) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    out = 0;
    for (int i = 0; i < 4; ++i) {
        const char c = peek();
        const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
        const std::size_t digit = at_end() ? std::string_view::npos : kDigits.find(lower);
        if (digit == std::string_view::npos) {
            return false;
        }
        out = out * 16 + static_cast<char32_t>(digit);
        ++position_;
    }
    return true;
}

/// A high surrogate joins with a low one right behind it; any other half is no character.
void JsonReader::read_unicode(std::string& out, char32_t code) {
    const bool high = code >= 0xD800 && code <= 0xDBFF;
    if (high && text_.substr(position_, 2) == "\\u") {
        const std::size_t before = position_;
        position_ += 2;
        char32_t low = 0;
        if (read_hex(low) && low >= 0xDC00 && low <= 0xDFFF) {
            append_utf8(out, 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00));
            return;
        }
        position_ = before;
    }
    append_utf8(out, code >= 0xD800 && code <= 0xDFFF ? kNoCharacter : code);
}

bool JsonReader::skip_word() {
    for (const std::string_view word : {"true", "false", "null"}) {
        if (text_.substr(position_).starts_with(word)) {
            position_ += word.size();
            return true;
        }
    }
    return false;
}

bool JsonReader::skip_digits() {
    const std::size_t start = position_;
    position_ = std::min(text_.find_first_not_of("0123456789", position_), text_.size());
    return position_ > start;
}

bool JsonReader::skip_number() {
    take('-');
    if (!take('0') && !skip_digits()) {
        return false;
    }
    if (take('.') && !skip_digits()) {
        return false;
    }
    if (take('e') || take('E')) {
        if (!take('+')) {
            take('-');
        }
        return skip_digits();
    }
    return true;
}

bool JsonReader::skip_members(char close, bool with_names, std::size_t depth) {
    ++position_;
    skip_blanks();
    if (take(close)) {
        return true;
    }
    while (true) {
        skip_blanks();
        if (with_names) {
            std::string name;
            if (!read_string(name)) {
                return false;
            }
            skip_blanks();
            if (!take(':')) {
                return false;
            }
        }
        if (!skip_value(depth + 1)) {
            return false;
        }
        skip_blanks();
        if (take(close)) {
            return true;
        }
        if (!take(',')) {
            return false;
        }
    }
}

bool JsonReader::skip_value(std::size_t depth) {
    if (depth > kMaxJsonDepth) {
        return false;
    }
    skip_blanks();
    switch (peek()) {
        case '"': {
            std::string ignored;
            return read_string(ignored);
        }
        case '[':
            return skip_members(']', false, depth);
        case '{':
            return skip_members('}', true, depth);
        case 't':
        case 'f':
        case 'n':
            return skip_word();
        default:
            return skip_number();
    }
}

/// One item of a list: kept if it is a string, else only noted.
bool read_item(JsonReader& reader, JsonArray& out, bool& only_strings) {
    reader.skip_blanks();
    if (reader.peek() != '"') {
        only_strings = false;
        return reader.skip_value(1);
    }
    JsonArray::Item item;
    item.begin = reader.position();
    if (!reader.read_string(item.text)) {
        return false;
    }
    item.end = reader.position();
    out.items.push_back(std::move(item));
    return true;
}

bool read_items(JsonReader& reader, JsonArray& out, bool& only_strings) {
    reader.skip_blanks();
    if (reader.take(']')) {
        return true;
    }
    while (true) {
        if (!read_item(reader, out, only_strings)) {
            return false;
        }
        reader.skip_blanks();
        if (reader.take(']')) {
            return true;
        }
        if (!reader.take(',')) {
            return false;
        }
    }
}

}  // namespace

JsonArray parse_json_array(std::string_view text) {
    JsonReader reader(text);
    reader.skip_blanks();
    JsonArray result;
    bool only_strings = true;
    if (!reader.take('[') || !read_items(reader, result, only_strings)) {
        return {};
    }
    reader.skip_blanks();
    if (!reader.at_end()) {
        return {};
    }
    result.kind = only_strings ? JsonArray::Kind::strings : JsonArray::Kind::other_items;
    return result;
}

std::optional<std::string> find_json_string_member(std::string_view text, std::string_view name) {
    JsonReader reader(text);
    reader.skip_blanks();
    // What follows the object would make it no JSON, so the whole is checked before it is searched.
    JsonReader whole = reader;
    if (!whole.skip_value(0) || (whole.skip_blanks(), !whole.at_end()) || !reader.take('{')) {
        return std::nullopt;
    }
    std::optional<std::string> found;
    do {
        reader.skip_blanks();
        std::string member;
        if (!reader.read_string(member)) {
            break;
        }
        reader.skip_blanks();
        reader.take(':');
        reader.skip_blanks();
        std::string value;
        const bool is_string = reader.peek() == '"';
        if (is_string) {
            reader.read_string(value);
        } else {
            reader.skip_value(1);
        }
        if (util::equals_ignoring_case(member, name)) {
            found = is_string ? std::optional(std::move(value)) : std::nullopt;
        }
        reader.skip_blanks();
    } while (reader.take(','));
    return found;
}

}  // namespace imgbuild::parser
