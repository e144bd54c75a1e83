#include "cli/print_error.hpp"

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace imgbuild::cli {
namespace {

constexpr std::uint32_t kAround = 2;
constexpr std::uint32_t kMostLines = 12;
constexpr std::size_t kWidest = 200;
// Beyond this many nobody reads; a file that is no build file at all has thousands.
constexpr std::size_t kMostErrors = 50;

// A byte within a character of UTF-8, which neither is one nor may be cut off from it.
bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Tabs and control characters would move the carets, and a long line would bury them.
std::string printable(std::string_view line) {
    std::size_t end = std::min(line.size(), kWidest);
    while (end != 0 && end < line.size() && is_continuation(line[end])) --end;
    std::string out;
    for (const char c : line.substr(0, end)) {
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
    return end < line.size() ? out + "…" : out;
}

// Columns count bytes, terminals characters.
std::size_t characters(std::string_view bytes) {
    return static_cast<std::size_t>(
        std::count_if(bytes.begin(), bytes.end(), [](char c) { return !is_continuation(c); }));
}

std::string carets(std::string_view line, const Span& span) {
    if (span.line != span.end_line || span.column == 0 || span.column > line.size() || span.column > kWidest) return {};
    const std::size_t begin = span.column - 1;
    const std::size_t end = std::clamp<std::size_t>(span.end_column - 1, begin + 1, std::min(line.size(), kWidest));
    if (begin == 0 && end >= line.size()) return {};  // the whole line is marked already
    return fmt::format("       |     {}{}\n", std::string(characters(line.substr(0, begin)), ' '),
                       std::string(std::max<std::size_t>(1, characters(line.substr(begin, end - begin))), '^'));
}

std::string indent(std::string_view text, std::string_view prefix) {
    std::string out;
    for (const std::string_view line : util::split(text, '\n')) {
        out += prefix;
        out += line;
        out += '\n';
    }
    return out;
}

std::string place(const SourceFile* file, const Span& span) {
    if (file == nullptr || !span) return {};
    return fmt::format("{}:{}", file->name, span.line);
}

std::string hint_line(const std::string& hint) {
    return hint.empty() ? "" : "hint: " + hint + "\n";
}

std::string render_log(const StepFailed& failed) {
    std::string out;
    if (!failed.log_tail().empty()) {
        out += "------\n" + indent(failed.log_tail(), "  ") + "------\n";
    }
    return out;
}

}  // namespace

std::string render_excerpt(const SourceFile& file, const Span& span) {
    if (!span) return {};
    const auto lines = util::split(file.text, '\n');
    const auto count = static_cast<std::uint32_t>(lines.size());
    const std::uint32_t last_marked = std::max(span.line, span.end_line);
    const std::uint32_t first = span.line > kAround ? span.line - kAround : 1;
    const std::uint32_t last = std::min({count, last_marked + kAround, first + kMostLines});
    std::string out = place(&file, span) + "\n--------------------\n";
    for (std::uint32_t number = first; number <= last; ++number) {
        std::string_view line = lines[number - 1];
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (number == count && line.empty()) break;
        const bool marked = number >= span.line && number <= last_marked;
        const std::string row = fmt::format("  {:4} | {} {}", number, marked ? ">>>" : "   ", printable(line));
        out += std::string(row.substr(0, row.find_last_not_of(' ') + 1)) + "\n";
        if (marked && number == span.line) out += carets(line, span);
    }
    return out + "--------------------\n";
}

std::string render_line(const std::vector<std::string_view>& lines, const Span& span) {
    if (!span || span.line > lines.size()) return {};
    std::string_view line = lines[span.line - 1];
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::string out = fmt::format("  {:4} | {}\n", span.line, printable(line));
    if (span.column == 0 || span.column > line.size() || span.column > kWidest) return out;
    // What goes on in the next lines is marked to the end of this one.
    const std::size_t width = std::min(line.size(), kWidest);
    const std::size_t begin = span.column - 1;
    const std::size_t end =
        span.line == span.end_line ? std::clamp<std::size_t>(span.end_column - 1, begin + 1, width) : width;
    return out + fmt::format("       | {}{}\n", std::string(characters(line.substr(0, begin)), ' '),
                             std::string(std::max<std::size_t>(1, characters(line.substr(begin, end - begin))), '^'));
}

std::string render_diagnostic(const Diagnostic& diagnostic, const SourceFile* file) {
    const bool is_error = diagnostic.severity == Severity::error;
    const std::string where = place(file, diagnostic.span);
    std::string out = fmt::format("{}: {}{}\n", is_error ? "error" : "warning", diagnostic.message,
                                  where.empty() || is_error ? "" : " (" + where + ")");
    if (is_error && file != nullptr) out += render_excerpt(*file, diagnostic.span);
    return out + hint_line(diagnostic.hint);
}

std::string render_error(const Error& error) {
    if (const auto* parse = dynamic_cast<const ParseError*>(&error)) {
        std::string out;
        std::size_t shown = 0;
        std::size_t left = 0;
        for (const Diagnostic& diagnostic : parse->diagnostics()) {
            if (diagnostic.severity != Severity::error) continue;
            if (shown == kMostErrors) {
                ++left;
                continue;
            }
            ++shown;
            out += render_diagnostic(diagnostic, error.where() ? error.where()->file.get() : nullptr);
        }
        if (left > 0) out += fmt::format("error: {} more\nhint: imgbuild lint lists all of them\n", left);
        return out;
    }
    std::string out;
    const auto* failed = dynamic_cast<const StepFailed*>(&error);
    if (failed != nullptr) out += render_log(*failed);
    if (error.where() && error.where()->file) out += render_excerpt(*error.where()->file, error.where()->span);
    out += fmt::format("error: {}\n", error.what());
    out += hint_line(error.hint());
    if (failed != nullptr && !failed->log_path().empty()) out += fmt::format("log: {}\n", failed->log_path());
    return out;
}

}  // namespace imgbuild::cli
