#include "parser/print.hpp"

#include "parser/characters.hpp"

namespace imgbuild::parser {
namespace {

/// Would a line with this text go on in the next one? Only the last instruction of a file can be so, where nothing was
/// left to go on with.
bool asks_for_more(std::string_view text, char escape) {
    const std::size_t last = text.find_last_not_of(" \t");
    return last == std::string_view::npos || (text[last] == escape && (last == 0 || text[last - 1] != escape));
}

void print_node(const Node& node, char escape, std::string& out) {
    // A "#" alone keeps the comment of the instruction above from being taken for this one's.
    out += "#\n";
    for (const std::string& comment : node.previous_comment) {
        out += "# " + comment + "\n";
    }
    // Blanks at the beginning are part of it only in a line that goes on from another one.
    if (trim_left(node.original()).size() != node.original().size()) {
        out += std::string(1, escape) + "\n";
    }
    out += node.original();
    if (asks_for_more(node.original(), escape)) {
        out.push_back(escape);
    }
    out.push_back('\n');
    for (const Heredoc& heredoc : node.heredocs) {
        out += heredoc.content + heredoc.name + "\n";
    }
}

}  // namespace

std::string print_ast(const Ast& ast) {
    std::string out;
    for (const Directive& directive : ast.directives) {
        out += "# " + directive.name + "=" + directive.value + "\n";
    }
    // A blank line ends the directives, so that no comment below becomes one.
    out.push_back('\n');
    for (const Node& node : ast.nodes) {
        print_node(node, ast.escape, out);
    }
    return out;
}

}  // namespace imgbuild::parser
