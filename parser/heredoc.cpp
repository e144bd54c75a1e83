#include "parser/ast.hpp"
#include "parser/characters.hpp"
#include "parser/expand.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::parser {
namespace {

/// "12<<-" and what follows.
struct Opening {
    std::string_view fd;
    bool strip_tabs = false;
    std::string_view rest;
};

std::optional<Opening> match_opening(std::string_view word) {
    const std::size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
    Opening opening;
    opening.fd = word.substr(0, digits);
    word.remove_prefix(digits);
    if (!word.starts_with("<<")) {
        return std::nullopt;
    }
    word.remove_prefix(2);
    if (word.starts_with('-')) {
        opening.strip_tabs = true;
        word.remove_prefix(1);
    }
    // "<<<" is a here-string, which the shell handles alone.
    if (word.contains('<')) {
        return std::nullopt;
    }
    opening.rest = word;
    return opening;
}

/// Splits at blanks outside of quotes; quotes and escapes stay. Blanks right behind "<<" belong to the word, as the
/// shell allows them there. Nothing if a quote is not closed.
class RawWordSplitter {
public:
    explicit RawWordSplitter(std::string_view line) : line_(line) {}

    std::optional<std::vector<std::string_view>> split() {
        while (position_ < line_.size()) {
            const Character c = character_at(line_, position_);
            if (is_space(c.code)) {
                end_word(c.length);
            } else if (c.code == U'\'' || c.code == U'"') {
                if (!skip_quoted(line_[position_])) {
                    return std::nullopt;
                }
            } else {
                position_ += c.length;
                if (c.code == U'\\' && position_ < line_.size()) {
                    position_ += character_at(line_, position_).length;
                }
            }
        }
        end_word(0);
        return std::move(words_);
    }

private:
    void end_word(std::size_t blank_length) {
        const std::string_view word = line_.substr(start_, position_ - start_);
        const std::optional<Opening> opening = match_opening(trim_right(word));
        const bool wants_name = opening && opening->rest.empty() && blank_length > 0;
        position_ += blank_length;
        if (wants_name) {
            return;
        }
        if (!word.empty()) {
            words_.push_back(word);
        }
        start_ = position_;
    }

    bool skip_quoted(char quote) {
        ++position_;
        while (position_ < line_.size()) {
            const char c = line_[position_++];
            if (c == quote) {
                return true;
            }
            if (c == '\\' && quote == '"' && position_ < line_.size()) {
                ++position_;
            }
        }
        return false;
    }

    std::string_view line_;
    std::size_t position_ = 0;
    std::size_t start_ = 0;
    std::vector<std::string_view> words_;
};

std::vector<std::string> lex(std::string_view text, ExpandMode mode) {
    mode.skip_unset = true;
    return WordExpander([](std::string_view) { return std::nullopt; }, '\\', mode).expand_words(text);
}

}  // namespace

std::string heredoc_text(const Heredoc& heredoc) {
    if (!heredoc.strip_tabs) {
        return heredoc.content;
    }
    std::string result;
    result.reserve(heredoc.content.size());
    bool at_start = true;
    for (const char c : heredoc.content) {
        if (at_start && c == '\t') {
            continue;
        }
        result.push_back(c);
        at_start = c == '\n';
    }
    return result;
}

std::optional<Heredoc> parse_heredoc_word(std::string_view word) {
    const std::optional<Opening> opening = match_opening(word);
    if (!opening || opening->rest.empty()) {
        return std::nullopt;
    }
    Heredoc result;
    result.strip_tabs = opening->strip_tabs;
    if (!opening->fd.empty()) {
        const std::optional<std::uint64_t> fd = util::parse_number(opening->fd);
        if (!fd || *fd > 0xFFFF) {
            reject("parse.bad-heredoc", fmt::format("{} is no file descriptor", util::quote(opening->fd)));
        }
        result.fd = static_cast<std::uint32_t>(*fd);
    }
    if (!RawWordSplitter(opening->rest).split()) {
        reject("parse.bad-heredoc", fmt::format("the quote in {} is not closed", util::quote(word)),
               "write the same quote behind the name");
    }
    const std::vector<std::string> raw = lex(opening->rest, {.raw_quotes = true});
    const std::vector<std::string> names = lex(opening->rest, {});
    if (raw.size() != 1 || names.size() != 1 || names.front().empty()) {
        return std::nullopt;
    }
    result.name = names.front();
    result.expand = raw.front() == names.front();
    return result;
}

std::vector<Heredoc> find_heredocs(std::string_view line) {
    std::vector<Heredoc> result;
    if (!line.contains("<<")) {
        return result;
    }
    const std::optional<std::vector<std::string_view>> words = RawWordSplitter(line).split();
    if (!words) {
        return result;
    }
    for (const std::string_view word : *words) {
        std::optional<Heredoc> heredoc = parse_heredoc_word(word);
        if (!heredoc) {
            continue;
        }
        if (result.size() == kMaxHeredocs) {
            reject("parse.too-many-heredocs", fmt::format("more than {} heredocs in one instruction", kMaxHeredocs));
        }
        result.push_back(std::move(*heredoc));
    }
    return result;
}

}  // namespace imgbuild::parser
