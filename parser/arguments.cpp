#include "parser/arguments.hpp"

#include "parser/characters.hpp"
#include "parser/json_array.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::parser {
namespace {

constexpr std::array<std::string_view, 18> kNames = {
    "ADD",   "ARG",        "CMD",     "COPY", "ENTRYPOINT", "ENV",        "EXPOSE", "FROM",   "HEALTHCHECK",
    "LABEL", "MAINTAINER", "ONBUILD", "RUN",  "SHELL",      "STOPSIGNAL", "USER",   "VOLUME", "WORKDIR"};

/// A stretch of the logical line.
struct Slice {
    std::size_t begin;
    std::size_t end;
};

/// Cuts one instruction's arguments. Offsets are those of the logical line.
class ArgumentCutter {
public:
    ArgumentCutter(const Node& node, char escape)
        : node_(node), text_(std::string_view(node.original()).substr(0, node.arguments_end)), escape_(escape) {}

    std::vector<Word> whole(std::size_t begin) const;
    std::vector<Word> at_blanks(std::size_t begin) const;
    std::vector<Slice> quoted() const;
    std::vector<Word> quoted_words() const;
    std::vector<KeyValue> pairs() const;
    std::optional<std::vector<Word>> json(std::size_t begin) const;

    std::size_t begin() const { return node_.arguments_begin; }
    std::size_t end() const { return text_.size(); }
    Word word(Slice slice) const {
        return {std::string(text_.substr(slice.begin, slice.end - slice.begin)),
                node_.line.span(slice.begin, slice.end)};
    }
    std::size_t skip_word(std::size_t position) const {
        return std::min(text_.find_first_of(kBlanks, position), end());
    }
    std::size_t skip_blanks(std::size_t position) const {
        return std::min(text_.find_first_not_of(kBlanks, position), end());
    }

private:
    std::size_t end_of_quoted(std::size_t position) const;
    KeyValue legacy_pair() const;

    const Node& node_;
    std::string_view text_;
    char escape_;
};

std::vector<Word> ArgumentCutter::whole(std::size_t begin) const {
    std::vector<Word> result;
    if (begin < end()) {
        result.push_back(word({begin, end()}));
    }
    return result;
}

std::vector<Word> ArgumentCutter::at_blanks(std::size_t begin) const {
    std::vector<Word> result;
    for (std::size_t position = begin; position < end();) {
        const std::size_t stop = skip_word(position);
        result.push_back(word({position, stop}));
        position = skip_blanks(stop);
    }
    return result;
}

/// The end of the word at `position`; blanks inside quotes and escaped ones belong to it.
std::size_t ArgumentCutter::end_of_quoted(std::size_t position) const {
    char quote = '\0';
    while (position < end()) {
        const Character c = character_at(text_, position);
        const char byte = text_[position];
        if (quote == '\0' && is_space(c.code)) {
            break;
        }
        if (byte == escape_ && quote != '\'') {
            position += 1;
            position += position < end() ? character_at(text_, position).length : 0;
            continue;
        }
        if (byte == quote) {
            quote = '\0';
        } else if (quote == '\0' && (byte == '"' || byte == '\'')) {
            quote = byte;
        }
        position += c.length;
    }
    return position;
}

std::vector<Slice> ArgumentCutter::quoted() const {
    std::vector<Slice> result;
    std::size_t position = begin();
    while (position < end()) {
        const Character c = character_at(text_, position);
        if (is_space(c.code)) {
            position += c.length;
            continue;
        }
        Slice slice{position, end_of_quoted(position)};
        position = slice.end;
        // An escape character at the very end escapes nothing and is dropped.
        const std::string_view last = text_.substr(slice.begin, slice.end - slice.begin);
        const std::size_t escapes = last.size() - (last.find_last_not_of(escape_) + 1);
        if (slice.end == end() && escapes % 2 == 1) {
            --slice.end;
        }
        if (slice.end > slice.begin) {
            result.push_back(slice);
        }
    }
    return result;
}

std::vector<Word> ArgumentCutter::quoted_words() const {
    std::vector<Word> result;
    for (const Slice slice : quoted()) {
        result.push_back(word(slice));
    }
    return result;
}

/// "KEY the rest of the line": one pair, as files of the first years have it.
KeyValue ArgumentCutter::legacy_pair() const {
    const std::size_t key_end = skip_word(begin());
    const std::size_t value = skip_blanks(key_end);
    if (key_end == end()) {
        reject("parse.bad-pair", fmt::format("{} must have two arguments", shown(util::to_upper(node_.keyword))),
               "write key=value", node_.arguments_span());
    }
    return {word({begin(), key_end}), word({value, end()}), true};
}

std::vector<KeyValue> ArgumentCutter::pairs() const {
    const std::vector<Slice> slices = quoted();
    std::vector<KeyValue> result;
    for (const Slice slice : slices) {
        const std::string_view text = text_.substr(slice.begin, slice.end - slice.begin);
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos && result.empty()) {
            return {legacy_pair()};
        }
        if (equals == std::string_view::npos) {
            reject("parse.bad-pair",
                   fmt::format("Syntax error - can't find = in {}. Must be of the form: name=value", util::quote(text)),
                   "put quotes around a value with blanks", node_.line.span(slice.begin, slice.end));
        }
        const std::size_t split = slice.begin + equals;
        result.push_back({word({slice.begin, split}), word({split + 1, slice.end}), false});
    }
    return result;
}

std::optional<std::vector<Word>> ArgumentCutter::json(std::size_t begin) const {
    const JsonArray array = parse_json_array(text_.substr(begin));
    if (array.kind == JsonArray::Kind::no_array) {
        return std::nullopt;
    }
    if (array.kind == JsonArray::Kind::other_items) {
        reject("parse.bad-json-list", "when using JSON array syntax, arrays must be comprised of strings only",
               "put double quotes around every item", node_.line.span(begin, end()));
    }
    std::vector<Word> result;
    for (const JsonArray::Item& item : array.items) {
        result.push_back({item.text, node_.line.span(begin + item.begin, begin + item.end)});
    }
    return result;
}

/// A JSON list, or else what `otherwise` makes of it.
template <class Otherwise>
Arguments json_or(const ArgumentCutter& cutter, std::size_t begin, const Otherwise& otherwise) {
    Arguments result;
    std::optional<std::vector<Word>> list = cutter.json(begin);
    result.json = list.has_value();
    result.words = list ? std::move(*list) : otherwise(begin);
    return result;
}

Arguments healthcheck_arguments(const ArgumentCutter& cutter) {
    const std::size_t type_end = cutter.skip_word(cutter.begin());
    if (type_end == cutter.begin()) {
        return {};
    }
    Arguments result = json_or(cutter, cutter.skip_blanks(type_end), [&](std::size_t at) { return cutter.whole(at); });
    result.words.insert(result.words.begin(), cutter.word({cutter.begin(), type_end}));
    return result;
}

}  // namespace

std::optional<Keyword> find_keyword(std::string_view text) {
    const auto found = std::lower_bound(kNames.begin(), kNames.end(), util::to_upper(text));
    if (found == kNames.end() || !util::equals_ignoring_case(*found, text)) {
        return std::nullopt;
    }
    return static_cast<Keyword>(found - kNames.begin());
}

std::string_view keyword_name(Keyword keyword) {
    return kNames.at(static_cast<std::size_t>(keyword));
}

std::vector<std::string_view> keyword_names() {
    return {kNames.begin(), kNames.end()};
}

Arguments parse_arguments(const Node& node, Keyword keyword, char escape) {
    const ArgumentCutter cutter(node, escape);
    const auto whole = [&cutter](std::size_t begin) { return cutter.whole(begin); };
    const auto at_blanks = [&cutter](std::size_t begin) { return cutter.at_blanks(begin); };
    Arguments result;
    switch (keyword) {
        case Keyword::env:
        case Keyword::label:
            result.pairs = cutter.pairs();
            return result;
        case Keyword::arg:
            result.words = cutter.quoted_words();
            return result;
        case Keyword::cmd:
        case Keyword::entrypoint:
        case Keyword::run:
        case Keyword::shell:
            return json_or(cutter, cutter.begin(), whole);
        case Keyword::add:
        case Keyword::copy:
        case Keyword::volume:
            return json_or(cutter, cutter.begin(), at_blanks);
        case Keyword::expose:
        case Keyword::from:
            result.words = cutter.at_blanks(cutter.begin());
            return result;
        case Keyword::healthcheck:
            return healthcheck_arguments(cutter);
        case Keyword::maintainer:
        case Keyword::stopsignal:
        case Keyword::user:
        case Keyword::workdir:
            result.words = cutter.whole(cutter.begin());
            return result;
        case Keyword::onbuild:
            return result;
    }
    return result;
}

std::optional<Node> trigger_of(const Node& onbuild, char escape) {
    if (onbuild.arguments().empty()) {
        return std::nullopt;
    }
    Node trigger = make_node(onbuild.line.tail(onbuild.arguments_begin), escape);
    trigger.heredocs = onbuild.heredocs;
    trigger.span = onbuild.span;
    return trigger;
}

}  // namespace imgbuild::parser
