#include "parser/ast.hpp"

#include "parser/builder_flags.hpp"
#include "parser/characters.hpp"
#include "parser/directives.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// One line of the file. `text` has no line end; `raw` has.
struct PhysicalLine {
    std::string_view text;
    std::string_view raw;
    std::uint32_t number = 0;
    /// Column of the first byte of `text`.
    std::uint32_t column = 1;
};

bool is_comment(std::string_view line) {
    return trim_left(line).starts_with('#');
}

/// The line without a continuation at its end, or nothing if it has none. An escape character continues the line
/// if only blanks follow and no second one stands before it: so "\\" and, by an old quirk, "\\\" do not.
std::optional<std::string_view> without_continuation(std::string_view line, char escape) {
    const std::size_t last = line.find_last_not_of(" \t");
    if (last == std::string_view::npos || line[last] != escape || (last > 0 && line[last - 1] == escape)) {
        return std::nullopt;
    }
    return line.substr(0, last);
}

bool may_have_heredocs(std::string_view keyword) {
    for (const std::string_view known : {"run", "copy", "add"}) {
        if (util::equals_ignoring_case(keyword, known)) {
            return true;
        }
    }
    return false;
}

/// Reads a file from top to bottom, one logical line at a time.
class AstReader {
public:
    explicit AstReader(const SourceFile& file) : rest_(file.text) {
        if (rest_.starts_with(kByteOrderMark)) {
            rest_.remove_prefix(kByteOrderMark.size());
            column_of_next_ = static_cast<std::uint32_t>(kByteOrderMark.size()) + 1;
        }
    }

    Ast read() {
        while (const std::optional<PhysicalLine> line = next_line()) {
            read_logical_line(*line);
        }
        if (ast_.nodes.empty() && ast_.diagnostics.empty()) {
            add_error("parse.no-instructions",
                      number_ == 0 ? "the Dockerfile cannot be empty" : "file with no instructions",
                      "a build file begins with FROM", {number_, 1, number_, 1});
        }
        return std::move(ast_);
    }

private:
    std::optional<PhysicalLine> next_line();
    void read_logical_line(const PhysicalLine& first);
    void add_comment(std::string_view text);
    void read_continuations(LogicalLine& line);
    bool read_directive(const PhysicalLine& line, std::string_view text);
    void take_directive(Directive directive);
    void add_node(LogicalLine line, std::uint32_t first_line, std::vector<std::string> comments);
    void read_heredocs(Node& node);
    void read_heredoc_content(Heredoc& heredoc, const Node& node);

    void add_error(std::string code, std::string message, std::string hint, Span span) {
        ast_.diagnostics.push_back({Severity::error, std::move(code), std::move(message), std::move(hint), span});
    }

    std::string_view rest_;
    std::uint32_t number_ = 0;
    std::uint32_t column_of_next_ = 1;
    bool directives_done_ = false;
    std::vector<std::string> comments_;
    Ast ast_;
};

std::optional<PhysicalLine> AstReader::next_line() {
    if (rest_.empty()) {
        return std::nullopt;
    }
    const std::size_t newline = rest_.find('\n');
    PhysicalLine line;
    line.raw = rest_.substr(0, newline == std::string_view::npos ? newline : newline + 1);
    line.text = line.raw;
    line.number = ++number_;
    line.column = std::exchange(column_of_next_, 1);
    rest_.remove_prefix(line.raw.size());
    while (line.text.ends_with('\n') || line.text.ends_with('\r')) {
        line.text.remove_suffix(1);
    }
    if (line.text.size() > kMaxLineBytes) {
        add_error("parse.line-too-long",
                  fmt::format("dockerfile line greater than max allowed size of {}", kMaxLineBytes),
                  "break it with continuations, or put the text into a file", {number_, 1, number_, 1});
        rest_ = {};
        return std::nullopt;
    }
    return line;
}

void AstReader::read_logical_line(const PhysicalLine& first) {
    const std::string_view text = trim_left(first.text);
    if (!directives_done_ && read_directive(first, text)) {
        comments_.clear();
        return;
    }
    if (text.starts_with('#')) {
        add_comment(trim_spaces(text.substr(1)));
        return;
    }
    const std::optional<std::string_view> continued = without_continuation(text, ast_.escape);
    if (text.empty()) {
        return;
    }
    if (ast_.nodes.size() == kMaxInstructions) {
        add_error("parse.too-many-instructions", fmt::format("more than {} instructions", kMaxInstructions),
                  "split the file", {number_, 1, number_, 1});
        rest_ = {};
        return;
    }
    const auto indent = static_cast<std::uint32_t>(first.text.size() - text.size());
    LogicalLine line;
    line.append(continued.value_or(text), first.number, first.column + indent);
    if (continued) {
        read_continuations(line);
    }
    add_node(std::move(line), first.number, std::exchange(comments_, {}));
}

/// A "#" alone separates what stands above it from the comment of the next instruction.
void AstReader::add_comment(std::string_view text) {
    if (text.empty()) {
        comments_.clear();
    } else {
        comments_.emplace_back(text);
    }
}

void AstReader::read_continuations(LogicalLine& line) {
    bool found_empty = false;
    while (const std::optional<PhysicalLine> next = next_line()) {
        if (is_comment(next->text)) {
            continue;
        }
        if (trim_left(next->text).empty()) {
            found_empty = true;
            continue;
        }
        const std::optional<std::string_view> continued = without_continuation(next->text, ast_.escape);
        line.append(continued.value_or(next->text), next->number, next->column);
        if (!continued) {
            break;
        }
    }
    if (found_empty) {
        ast_.diagnostics.push_back({Severity::warning,
                                    "parse.empty-continuation",
                                    fmt::format("Empty continuation line found in: {}", line.text()),
                                    "remove the empty line; later versions of other builders refuse it",
                                    {number_, 1, number_, 1}});
    }
}

bool AstReader::read_directive(const PhysicalLine& line, std::string_view text) {
    std::optional<Directive> directive = match_directive(text, "#");
    if (!directive || !is_known_directive(directive->name)) {
        directives_done_ = true;
        return false;
    }
    const auto end = static_cast<std::uint32_t>(line.text.size());
    const auto begin = static_cast<std::uint32_t>(line.text.size() - text.size());
    directive->span = {line.number, line.column + begin, line.number, line.column + end};
    take_directive(std::move(*directive));
    return true;
}

void AstReader::take_directive(Directive directive) {
    if (ast_.find_directive(directive.name) != nullptr) {
        add_error("parse.duplicate-directive", fmt::format("only one {} parser directive can be used", directive.name),
                  "remove this line", directive.span);
        return;
    }
    if (directive.name == "escape") {
        if (directive.value != "\\" && directive.value != "`") {
            add_error("parse.bad-directive",
                      fmt::format("invalid escape token {} does not match ` or \\", util::quote(directive.value)),
                      "write # escape=` or # escape=\\", directive.span);
        } else {
            ast_.escape = directive.value.front();
        }
    }
    ast_.directives.push_back(std::move(directive));
}

void AstReader::add_node(LogicalLine line, std::uint32_t first_line, std::vector<std::string> comments) {
    Node node = make_node(std::move(line), ast_.escape);
    node.previous_comment = std::move(comments);
    try {
        read_heredocs(node);
    } catch (const Error& error) {
        ast_.diagnostics.push_back(to_diagnostic(error, node.span));
    }
    node.span.line = first_line;
    // Continuations that end in comments or blank lines, and heredocs, reach below the last written byte.
    if (node.span.end_line != number_) {
        node.span.end_line = number_;
        node.span.end_column = 1;
    }
    ast_.nodes.push_back(std::move(node));
}

void AstReader::read_heredocs(Node& node) {
    std::string_view keyword = node.keyword;
    std::string_view arguments = node.arguments();
    if (util::equals_ignoring_case(keyword, "onbuild")) {
        keyword = arguments.substr(0, arguments.find_first_of(kBlanks));
    }
    if (!may_have_heredocs(keyword)) {
        return;
    }
    node.heredocs = find_heredocs(node.original());
    for (Heredoc& heredoc : node.heredocs) {
        read_heredoc_content(heredoc, node);
    }
}

void AstReader::read_heredoc_content(Heredoc& heredoc, const Node& node) {
    heredoc.span = {number_ + 1, 1, number_ + 1, 1};
    while (const std::optional<PhysicalLine> line = next_line()) {
        std::string_view text = line->text;
        if (heredoc.strip_tabs) {
            text.remove_prefix(std::min(text.find_first_not_of('\t'), text.size()));
        }
        if (text == heredoc.name) {
            heredoc.span.end_line = line->number;
            heredoc.span.end_column = static_cast<std::uint32_t>(line->text.size()) + 1;
            return;
        }
        heredoc.content.append(line->raw);
    }
    reject("parse.unterminated-heredoc", fmt::format("unterminated heredoc {}", util::quote(heredoc.name)),
           fmt::format("a line with {} alone must end it", util::quote(heredoc.name)), node.arguments_span());
}

}  // namespace

const Directive* Ast::find_directive(std::string_view name) const {
    const auto found = std::find_if(directives.begin(), directives.end(),
                                    [name](const Directive& directive) { return directive.name == name; });
    return found == directives.end() ? nullptr : &*found;
}

Node make_node(LogicalLine line, char escape) {
    Node node;
    node.line = std::move(line);
    const std::string_view text = node.original();
    const std::size_t begin = text.size() - trim_left(text).size();
    const std::size_t end = begin + trim_spaces(text).size();
    const std::size_t keyword_end = std::min(text.find_first_of(kBlanks, begin), end);
    node.keyword = text.substr(begin, keyword_end - begin);
    node.keyword_span = node.line.span(begin, keyword_end);
    node.span = node.line.span(0, text.size());
    const std::size_t rest = std::min(text.find_first_not_of(kBlanks, keyword_end), end);
    node.arguments_begin = read_builder_flags(node.line, rest, end, escape, node.flags);
    const std::string_view arguments = text.substr(node.arguments_begin, end - node.arguments_begin);
    node.arguments_begin += arguments.size() - trim_left(arguments).size();
    node.arguments_end = node.arguments_begin + trim_spaces(arguments).size();
    return node;
}

Ast parse_ast(const SourceFile& file) {
    if (file.text.size() > kMaxFileBytes) {
        Ast ast;
        ast.diagnostics.push_back(
            {Severity::error,
             "parse.file-too-large",
             fmt::format("{} has {}, more than the {} a build file may have", util::quote(file.name),
                         util::human_size(file.text.size()), util::human_size(kMaxFileBytes)),
             "put large contents into files of the context",
             {1, 1, 1, 1}});
        return ast;
    }
    return AstReader(file).read();
}

}  // namespace imgbuild::parser
