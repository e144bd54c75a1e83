#include "parser/expand.hpp"

#include "parser/characters.hpp"
#include "parser/reject.hpp"
#include "parser/shell_pattern.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <utility>

namespace imgbuild::parser {
namespace {

/// The whole text, and the same split at blanks that no quote or escape protects.
class Words {
public:
    void add(std::string_view text) {
        for (std::size_t i = 0; i < text.size();) {
            const Character c = character_at(text, i);
            if (is_space(c.code)) {
                finish_word();
            } else {
                word_.append(text.substr(i, c.length));
            }
            i += c.length;
        }
    }
    void add_protected(std::string_view text) { word_.append(text); }
    std::vector<std::string> take() {
        finish_word();
        return std::move(words_);
    }

private:
    void finish_word() {
        if (!word_.empty()) {
            words_.push_back(std::exchange(word_, {}));
        }
    }

    std::string word_;
    std::vector<std::string> words_;
};

[[noreturn]] void reject_syntax(std::string message, std::string hint = {}) {
    reject("parse.bad-substitution", std::move(message), std::move(hint));
}

constexpr std::string_view kModifierHint =
    "known are :- - :+ + :? ? # ## % %% / and //; a literal $ is written with the escape character before it";

/// Reads one word from left to right. Nested words of "${v:-…}" are read by the same object.
class Expander {
public:
    Expander(std::string_view text, const Environment& environment, char escape, ExpandMode mode)
        : text_(text), environment_(environment), escape_(escape), mode_(mode) {}

    std::string run() { return read_until('\0', mode_.raw_escapes); }
    std::vector<std::string> run_for_words() {
        Words words;
        words_ = &words;
        run();
        words_ = nullptr;
        return words.take();
    }

    std::set<std::string, std::less<>> matched;
    std::set<std::string, std::less<>> unmatched;

private:
    bool at_end() const { return position_ >= text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[position_]; }
    bool at(char c) const { return !at_end() && text_[position_] == c; }
    std::string_view take_character() {
        const std::size_t length = character_at(text_, position_).length;
        position_ += length;
        return text_.substr(position_ - length, length);
    }

    std::string read_until(char stop, bool raw_escapes);
    void read_plain(std::string& out, bool raw_escapes, bool collect);
    std::string read_single_quotes();
    std::string read_double_quotes(bool raw_escapes);
    std::string read_dollar();
    std::string read_braces();
    std::string read_name();
    std::string nested_word(char stop, bool raw_escapes);
    std::string apply_choice(const std::string& name, const std::string& modifier, const std::string& word);
    std::string apply_trim(const std::string& value, char which, std::string_view word);
    std::string replace(const std::string& name);
    std::optional<std::string> value_of(const std::string& name);
    static void check_size(std::size_t size);

    std::string_view text_;
    const Environment& environment_;
    char escape_;
    ExpandMode mode_;
    std::size_t position_ = 0;
    std::size_t depth_ = 0;
    /// Bytes of all values that were looked up, whether they are in the result or not.
    std::size_t looked_up_ = 0;
    PatternBudget budget_;
    /// Null if nobody asks for words.
    Words* words_ = nullptr;
};

void Expander::check_size(std::size_t size) {
    if (size > kMaxExpandedBytes) {
        reject_syntax(fmt::format("the word grows beyond {} when its variables are expanded",
                                  util::human_size(kMaxExpandedBytes)));
    }
}

/// Up to `stop`, which is consumed; '\0' means the end of the text. Only the outermost call collects words.
std::string Expander::read_until(char stop, bool raw_escapes) {
    const bool collect = stop == '\0' && words_ != nullptr;
    std::string result;
    while (!at_end()) {
        if (stop != '\0' && at(stop)) {
            ++position_;
            return result;
        }
        if (at('$')) {
            const std::string value = read_dollar();
            result += value;
            if (collect) {
                words_->add(value);
            }
        } else if (!mode_.ignore_quotes && (at('\'') || at('"'))) {
            const std::string quoted = at('"') ? read_double_quotes(raw_escapes) : read_single_quotes();
            result += quoted;
            if (collect) {
                words_->add_protected(quoted);
            }
        } else {
            read_plain(result, raw_escapes, collect);
        }
        check_size(result.size());
    }
    if (stop != '\0') {
        reject_syntax(stop == '/' ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'");
    }
    return result;
}

/// One character, or the escape character and what it protects.
void Expander::read_plain(std::string& out, bool raw_escapes, bool collect) {
    std::string_view c = take_character();
    const bool escaped = c.front() == escape_;
    if (escaped) {
        if (raw_escapes) {
            out.append(c);
            if (collect) {
                words_->add_protected(c);
            }
        }
        if (at_end()) {
            return;
        }
        c = take_character();
    }
    out.append(c);
    if (collect && escaped) {
        words_->add_protected(c);
    } else if (collect) {
        words_->add(c);
    }
}

std::string Expander::read_single_quotes() {
    const std::size_t close = text_.find('\'', position_ + 1);
    if (close == std::string_view::npos) {
        reject_syntax("unexpected end of statement while looking for matching single-quote",
                      "close the quote, or write the escape character before it");
    }
    const std::size_t begin = std::exchange(position_, close + 1);
    const std::string_view quoted = text_.substr(begin, close + 1 - begin);
    return std::string(mode_.raw_quotes ? quoted : quoted.substr(1, quoted.size() - 2));
}

std::string Expander::read_double_quotes(bool raw_escapes) {
    std::string result;
    const auto take_quote = [&] {
        const std::string_view quote = take_character();
        if (mode_.raw_quotes) {
            result.append(quote);
        }
    };
    take_quote();
    while (!at_end()) {
        if (at('"')) {
            take_quote();
            return result;
        }
        if (at('$')) {
            result += read_dollar();
            check_size(result.size());
            continue;
        }
        std::string_view c = take_character();
        if (c.front() == escape_) {
            if (raw_escapes) {
                result.append(c);
            }
            if (at_end()) {
                break;
            }
            // Only these can be escaped between double quotes; before others the character stands for itself.
            if (at('"') || at('$') || at(escape_)) {
                c = take_character();
            } else if (raw_escapes) {
                continue;
            }
        }
        result.append(c);
    }
    reject_syntax("unexpected end of statement while looking for matching double-quote",
                  "close the quote, or write the escape character before it");
}

std::optional<std::string> Expander::value_of(const std::string& name) {
    std::optional<std::string> value = environment_(name);
    looked_up_ += value ? value->size() : 0;
    check_size(looked_up_);
    (value ? matched : unmatched).insert(name);
    return value;
}

/// Letters, digits and "_"; a number; or one of the shell's special parameters. Empty if none of them comes.
std::string Expander::read_name() {
    static constexpr std::string_view kSpecial = "@*#?-$!";
    const std::size_t begin = position_;
    if (at_end()) {
        return {};
    }
    if (is_digit(static_cast<unsigned char>(peek()))) {
        position_ = std::min(text_.find_first_not_of("0123456789", position_), text_.size());
    } else if (kSpecial.contains(peek())) {
        ++position_;
    } else {
        while (!at_end() && is_name_character(character_at(text_, position_).code)) {
            take_character();
        }
    }
    return std::string(text_.substr(begin, position_ - begin));
}

std::string Expander::read_dollar() {
    ++position_;
    if (at('{')) {
        ++position_;
        return read_braces();
    }
    const std::string name = read_name();
    if (name.empty()) {
        return "$";
    }
    const std::optional<std::string> value = value_of(name);
    if (!value && mode_.skip_unset) {
        return "$" + name;
    }
    return value.value_or(std::string());
}

std::string Expander::nested_word(char stop, bool raw_escapes) {
    if (++depth_ > kMaxExpansionDepth) {
        reject_syntax(fmt::format("variables are nested more than {} deep", kMaxExpansionDepth));
    }
    std::string result = read_until(stop, raw_escapes);
    --depth_;
    return result;
}

std::string Expander::read_braces() {
    if (at_end()) {
        reject_syntax("syntax error: missing '}'");
    }
    if (at('{') || at('}') || at(':')) {
        reject_syntax("syntax error: bad substitution", "a variable is written ${name}");
    }
    const std::string name = read_name();
    if (at_end()) {
        reject_syntax("syntax error: missing '}'");
    }
    if (at('}')) {
        ++position_;
        const std::optional<std::string> value = value_of(name);
        if (!value && mode_.skip_unset) {
            return "${" + name + "}";
        }
        return value.value_or(std::string());
    }
    if (at('/')) {
        ++position_;
        return replace(name);
    }
    std::string modifier(take_character());
    if (modifier == ":" && !at_end()) {
        modifier += take_character();
    } else if (modifier.size() != 1 || !std::string_view("+-?#%").contains(modifier.front())) {
        reject_syntax(fmt::format("unsupported modifier ({}) in substitution", shown(modifier)),
                      std::string(kModifierHint));
    }
    const bool pattern = modifier.back() == '#' || modifier.back() == '%';
    const std::string word = nested_word('}', pattern);
    return apply_choice(name, modifier, word);
}

std::string Expander::apply_choice(const std::string& name, const std::string& modifier, const std::string& word) {
    const std::optional<std::string> value = value_of(name);
    if (!value && mode_.skip_unset) {
        return "${" + name + modifier + word + "}";
    }
    const bool empty_is_unset = modifier.front() == ':';
    const bool missing = !value || (empty_is_unset && value->empty());
    if (modifier == "-" || modifier == ":-") {
        return missing ? word : *value;
    }
    if (modifier == "+" || modifier == ":+") {
        return missing ? std::string() : word;
    }
    if (modifier == "?" || modifier == ":?") {
        if (missing) {
            const std::string_view reason = value ? "is not allowed to be empty" : "is not allowed to be unset";
            reject("parse.required-variable",
                   fmt::format("{}: {}", name, word.empty() ? std::string(reason) : shown(word)),
                   fmt::format("give it a value, for example with --build-arg {}=…", name));
        }
        return *value;
    }
    if (modifier == "#" || modifier == "%") {
        return apply_trim(value.value_or(std::string()), modifier.front(), word);
    }
    reject_syntax(fmt::format("unsupported modifier ({}) in substitution", shown(modifier)),
                  std::string(kModifierHint));
}

std::string Expander::apply_trim(const std::string& value, char which, std::string_view word) {
    const bool doubled = word.starts_with(which);
    const ShellPattern pattern(doubled ? word.substr(1) : word);
    const MatchLength length = doubled ? MatchLength::longest : MatchLength::shortest;
    return which == '#' ? pattern.without_prefix(value, length, budget_)
                        : pattern.without_suffix(value, length, budget_);
}

std::string Expander::replace(const std::string& name) {
    const bool all = at('/');
    if (all) {
        ++position_;
    }
    const std::string pattern = nested_word('/', true);
    const std::string replacement = nested_word('}', true);
    const std::optional<std::string> value = value_of(name);
    if (!value && mode_.skip_unset) {
        return fmt::format("${{{}{}{}/{}}}", name, all ? "//" : "/", pattern, replacement);
    }
    const ShellPattern compiled(pattern);
    const std::string before = value.value_or(std::string());
    return all ? compiled.replace_all(before, replacement, budget_)
               : compiled.replace_first(before, replacement, budget_);
}

/// Runs `body` and says in its errors which word they are about, and where that is.
template <class Body>
auto about(std::string_view word, const SourceSpan& where, const Body& body) {
    try {
        return body();
    } catch (const Error& error) {
        ErrorInfo info{error.code(), fmt::format("failed to process {}: {}", util::quote(word), error.message()),
                       error.hint(), std::nullopt};
        if (where.span) {
            info.where = where;
        }
        throw Error(std::move(info));
    }
}

}  // namespace

Environment environment_of(std::vector<std::pair<std::string, std::string>> pairs) {
    auto values = std::make_shared<std::map<std::string, std::string, std::less<>>>();
    for (auto& pair : pairs) {
        values->insert_or_assign(std::move(pair.first), std::move(pair.second));
    }
    return [values](std::string_view name) -> std::optional<std::string> {
        const auto found = values->find(name);
        return found == values->end() ? std::nullopt : std::optional(found->second);
    };
}

std::string WordExpander::expand(std::string_view word, const SourceSpan& where) const {
    return about(word, where, [&] { return Expander(word, environment_, escape_, mode_).run(); });
}

Expansion WordExpander::expand_with_uses(std::string_view word, const SourceSpan& where) const {
    return about(word, where, [&] {
        Expander expander(word, environment_, escape_, mode_);
        std::string text = expander.run();
        return Expansion{std::move(text), std::move(expander.matched), std::move(expander.unmatched)};
    });
}

std::vector<std::string> WordExpander::expand_words(std::string_view word, const SourceSpan& where) const {
    return about(word, where, [&] { return Expander(word, environment_, escape_, mode_).run_for_words(); });
}

std::string WordExpander::expand_text(std::string_view text, const SourceSpan& where) const {
    ExpandMode mode = mode_;
    mode.ignore_quotes = true;
    return about(text, where, [&] { return Expander(text, environment_, escape_, mode).run(); });
}

}  // namespace imgbuild::parser
