// The lines of a build file as a tree of instructions whose arguments are still plain text.
//
// Vocabulary: a *physical line* ends with a newline in the file. A *logical line* is what an instruction is written
// on: physical lines joined where one ends with the escape character, less the comment lines between them. A
// *directive* is a comment at the very top such as "# escape=`". A *heredoc* is a text below the instruction's line,
// up to a terminator that a word of the line names ("<<EOF").
//
// Nothing here knows what an instruction means, beyond which of them may have heredocs. Spans are exact: every byte
// of a logical line knows where in the file it stands. All functions are pure and need time linear in the input.
#pragma once

#include <imgbuild/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// The longest physical line in bytes, without its newline. The peers have the same limit.
inline constexpr std::size_t kMaxLineBytes = 65535;
/// The longest build file in bytes; larger ones are "parse.file-too-large".
inline constexpr std::size_t kMaxFileBytes = std::size_t{8} << 20;
/// The most instructions of a file; the first one beyond is "parse.too-many-instructions", and reading ends there.
inline constexpr std::size_t kMaxInstructions = 20000;
/// The most heredocs that one instruction may have.
inline constexpr std::size_t kMaxHeredocs = 256;

/// A logical line that remembers where in the file its pieces stood.
class LogicalLine {
public:
    /// Appends `text`, which stands in the file at `line` and `column` (both from 1).
    void append(std::string_view text, std::uint32_t line, std::uint32_t column);

    const std::string& text() const { return text_; }
    /// The place of the bytes [begin, end) in the file. An empty stretch has the place of its begin.
    Span span(std::size_t begin, std::size_t end) const;
    /// The rest from `begin` on as a line of its own.
    LogicalLine tail(std::size_t begin) const;

private:
    struct Piece {
        std::size_t begin;
        std::uint32_t line;
        std::uint32_t column;
    };
    const Piece& piece_of(std::size_t offset) const;

    std::string text_;
    std::vector<Piece> pieces_;
};

/// A text below an instruction. `content` is as in the file, leading tabs included; see heredoc_text().
struct Heredoc {
    std::string name;
    /// Number before "<<", 0 if there is none.
    std::uint32_t fd = 0;
    /// False if any part of the word was quoted: then variables in the content mean nothing.
    bool expand = true;
    /// "<<-": leading tabs of content and terminator are not part of the text.
    bool strip_tabs = false;
    std::string content;
    /// From the first line of the content to the terminator's line, inclusive.
    Span span;
};

/// The content as it is meant: without leading tabs if the heredoc strips them.
std::string heredoc_text(const Heredoc& heredoc);

/// Reads one shell word such as "3<<-'EOF'"; nothing if it is no heredoc word. Throws Error "parse.bad-heredoc" for a
/// quote that is not closed and for a descriptor that is no small number.
std::optional<Heredoc> parse_heredoc_word(std::string_view word);

/// The heredocs that the words of a line announce, without their contents, in order. Throws as
/// parse_heredoc_word(), and "parse.too-many-heredocs". A line whose quotes do not close announces none.
std::vector<Heredoc> find_heredocs(std::string_view line);

/// A leading "--name" or "--name=value" of an instruction, quotes and escapes removed.
struct Flag {
    std::string text;
    Span span;
};

/// One instruction.
struct Node {
    /// As written; compare with equals_ignoring_case().
    std::string keyword;
    Span keyword_span;
    std::vector<Flag> flags;
    /// The whole logical line (leading blanks removed), as progress and history show it. The arguments are its
    /// bytes [arguments_begin, arguments_end), blanks around them removed.
    LogicalLine line;
    std::size_t arguments_begin = 0;
    std::size_t arguments_end = 0;
    std::vector<Heredoc> heredocs;
    /// First to last physical line, heredocs included.
    Span span;
    /// Comment lines above, since the instruction before or a line with "#" alone, without "#" and outer blanks.
    std::vector<std::string> previous_comment;

    const std::string& original() const { return line.text(); }
    std::string_view arguments() const {
        return std::string_view(line.text()).substr(arguments_begin, arguments_end - arguments_begin);
    }
    Span arguments_span() const { return line.span(arguments_begin, arguments_end); }
};

/// Finds keyword, flags and arguments in a logical line. Heredocs and comments are left empty, and the span is that
/// of the line alone. Never throws.
Node make_node(LogicalLine line, char escape);

/// "# name = value" at the top of the file. The name is in lower case.
struct Directive {
    std::string name;
    std::string value;
    Span span;
};

struct Ast {
    std::vector<Directive> directives;
    /// '\\' or '`'.
    char escape = '\\';
    std::vector<Node> nodes;
    /// Errors and warnings in the order of the file. Reading goes on after an error wherever that makes sense.
    std::vector<Diagnostic> diagnostics;

    const Directive* find_directive(std::string_view name) const;
};

/// Never throws for bad input: everything is said in the diagnostics.
Ast parse_ast(const SourceFile& file);

/// The "syntax" line of a file that may be no build file at all, as other frontends write it: "# syntax=…",
/// "// syntax=…" or a JSON object with the member "syntax"; a first line "#!…" is skipped. Also finds the other
/// directives ("check", "escape") in their comment forms.
std::optional<Directive> find_directive_in_any(std::string_view text, std::string_view name);

}  // namespace imgbuild::parser
