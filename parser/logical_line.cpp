#include "parser/ast.hpp"

#include <algorithm>

namespace imgbuild::parser {

void LogicalLine::append(std::string_view text, std::uint32_t line, std::uint32_t column) {
    pieces_.push_back({text_.size(), line, column});
    text_.append(text);
}

const LogicalLine::Piece& LogicalLine::piece_of(std::size_t offset) const {
    const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                        [](std::size_t wanted, const Piece& piece) { return wanted < piece.begin; });
    return after == pieces_.begin() ? *after : *std::prev(after);
}

Span LogicalLine::span(std::size_t begin, std::size_t end) const {
    if (pieces_.empty()) {
        return {};
    }
    const Piece& first = piece_of(begin);
    // The end is one past the last byte, so it belongs to the piece of that byte and not to the next one.
    const Piece& last = end > begin ? piece_of(end - 1) : first;
    const auto column = [](const Piece& piece, std::size_t offset) {
        return piece.column + static_cast<std::uint32_t>(offset - piece.begin);
    };
    return {first.line, column(first, begin), last.line, column(last, std::max(begin, end))};
}

LogicalLine LogicalLine::tail(std::size_t begin) const {
    LogicalLine result;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
        const Piece& piece = pieces_[i];
        const std::size_t end = i + 1 < pieces_.size() ? pieces_[i + 1].begin : text_.size();
        if (end <= begin) {
            continue;
        }
        const std::size_t from = std::max(begin, piece.begin);
        result.append(std::string_view(text_).substr(from, end - from), piece.line,
                      piece.column + static_cast<std::uint32_t>(from - piece.begin));
    }
    return result;
}

}  // namespace imgbuild::parser
