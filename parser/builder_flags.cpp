#include "parser/builder_flags.hpp"

#include "parser/characters.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

/// A word without its quotes and escapes, and where it ended.
struct UnquotedWord {
    std::string text;
    std::size_t end = 0;
};

UnquotedWord unquote_word(std::string_view line, std::size_t begin, char escape) {
    UnquotedWord word;
    char quote = '\0';
    std::size_t position = begin;
    while (position < line.size()) {
        const Character c = character_at(line, position);
        if (quote == '\0' && is_space(c.code)) {
            break;
        }
        if (quote == '\0' ? (line[position] == '"' || line[position] == '\'') : line[position] == quote) {
            quote = quote == '\0' ? line[position] : '\0';
            ++position;
            continue;
        }
        if (line[position] == escape) {
            ++position;
            if (position == line.size()) {
                break;
            }
        }
        const std::size_t length = character_at(line, position).length;
        word.text.append(line.substr(position, length));
        position += length;
    }
    word.end = position;
    return word;
}

}  // namespace

std::size_t read_builder_flags(const LogicalLine& line, std::size_t begin, std::size_t end, char escape,
                               std::vector<Flag>& out) {
    const std::string_view text = std::string_view(line.text()).substr(0, end);
    std::size_t position = begin;
    while (true) {
        const std::string_view rest = text.substr(position);
        position += rest.size() - trim_left(rest).size();
        if (!text.substr(position).starts_with("--")) {
            return position;
        }
        UnquotedWord word = unquote_word(text, position, escape);
        const std::size_t start = std::exchange(position, word.end);
        if (word.text == "--") {
            return position;
        }
        out.push_back({std::move(word.text), line.span(start, position)});
    }
}

FlagSet::FlagSet(const Node& node, std::vector<Known> known) : known_(std::move(known)) {
    for (const Flag& flag : node.flags) {
        add(node, flag);
    }
}

void FlagSet::add(const Node& node, const Flag& flag) {
    const std::string_view text = std::string_view(flag.text).substr(2);
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const auto known = std::find_if(known_.begin(), known_.end(), [name](const Known& k) { return k.name == name; });
    if (known == known_.end()) {
        std::vector<std::string_view> names;
        for (const Known& k : known_) {
            names.push_back(k.name);
        }
        const std::optional<std::string_view> near = util::nearest(name, names);
        const std::string keyword = util::to_upper(node.keyword);
        std::string hint = near            ? fmt::format("did you mean --{}?", *near)
                           : names.empty() ? fmt::format("{} has no flags", keyword)
                                           : fmt::format("{} has --{}", keyword, fmt::join(names, ", --"));
        reject("parse.unknown-flag", fmt::format("unknown flag: --{}", shown(name)), std::move(hint), flag.span);
    }
    if (known->kind != Kind::list && find(name) != nullptr) {
        reject("parse.duplicate-flag", fmt::format("duplicate flag specified: --{}", name), "this flag may stand once",
               flag.span);
    }
    const bool has_value = equals != std::string_view::npos;
    Given given{known->name, {has_value ? std::string(text.substr(equals + 1)) : std::string(), flag.span}, has_value};
    const bool incomplete = known->kind == Kind::boolean ? has_value && given.value.text.empty() : !has_value;
    if (incomplete) {
        reject("parse.missing-value", fmt::format("missing a value on flag: --{}", name),
               fmt::format("write --{}=VALUE", name), flag.span);
    }
    given_.push_back(std::move(given));
}

const FlagSet::Given* FlagSet::find(std::string_view name) const {
    const auto found = std::find_if(given_.begin(), given_.end(), [name](const Given& g) { return g.name == name; });
    return found == given_.end() ? nullptr : &*found;
}

std::optional<Word> FlagSet::text(std::string_view name) const {
    const Given* given = find(name);
    return given == nullptr || given->value.text.empty() ? std::nullopt : std::optional(given->value);
}

std::vector<Word> FlagSet::list(std::string_view name) const {
    std::vector<Word> result;
    for (const Given& given : given_) {
        if (given.name == name) {
            result.push_back(given.value);
        }
    }
    return result;
}

std::optional<bool> FlagSet::boolean(std::string_view name) const {
    const Given* given = find(name);
    if (given == nullptr) {
        return std::nullopt;
    }
    const std::string value = util::to_lower(given->value.text);
    if (!given->has_value || value == "true") {
        return true;
    }
    if (value != "false") {
        reject("parse.bad-flag-value",
               fmt::format("expecting boolean value for flag --{}, not: {}", name, shown(given->value.text)),
               fmt::format("write --{0}=true or --{0}=false", name), given->value.span);
    }
    return false;
}

std::vector<std::string> FlagSet::used() const {
    std::vector<std::string> result;
    for (const Given& given : given_) {
        if (std::find(result.begin(), result.end(), given.name) == result.end()) {
            result.emplace_back(given.name);
        }
    }
    return result;
}

}  // namespace imgbuild::parser
