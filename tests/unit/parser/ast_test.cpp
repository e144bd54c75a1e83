#include "parser/ast.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

Ast read(std::string text) {
    return parse_ast({"Buildfile", std::move(text)});
}

/// The arguments of the last instruction.
std::string last_arguments(std::string text) {
    const Ast ast = read(std::move(text));
    return std::string(ast.nodes.back().arguments());
}

std::string first_code(const Ast& ast) {
    return ast.diagnostics.empty() ? "" : ast.diagnostics.front().code;
}

}  // namespace

TEST_CASE("continued lines are joined, blanks at the start of the next line included") {
    CHECK(last_arguments("RUN a \\\n  b\\\nc\n") == "a   bc");
}

TEST_CASE("blanks after the escape character still continue the line") {
    CHECK(last_arguments("RUN a \\ \t\nb") == "a b");
}

TEST_CASE("an escaped escape character does not continue the line") {
    const Ast ast = read("RUN a \\\\\nRUN b\n");
    REQUIRE(ast.nodes.size() == 2);
    CHECK(ast.nodes[0].arguments() == "a \\\\");
}

TEST_CASE("a lone escape character continues the line, even inside a keyword") {
    CHECK(read("\\\nRU\\\nN a").nodes.at(0).keyword == "RUN");
}

TEST_CASE("comments inside a continuation vanish and cannot be continued") {
    CHECK(last_arguments("RUN a \\\n # c \\\n b\n") == "a  b");
}

TEST_CASE("an empty line inside a continuation is skipped with a warning") {
    const Ast ast = read("RUN a \\\n\n b\n");
    CHECK(ast.nodes.at(0).arguments() == "a  b");
    REQUIRE(ast.diagnostics.size() == 1);
    CHECK(ast.diagnostics[0].severity == Severity::warning);
    CHECK(ast.diagnostics[0].code == "parse.empty-continuation");
}

TEST_CASE("a byte order mark and carriage returns do not matter") {
    const Ast ast = read(
        "\xEF\xBB\xBF"
        "FROM a\r\nRUN b \\\r\n c\r\n");
    REQUIRE(ast.nodes.size() == 2);
    CHECK(ast.nodes[0].keyword == "FROM");
    CHECK(ast.nodes[0].keyword_span == Span{1, 4, 1, 8});
    CHECK(ast.nodes[1].arguments() == "b  c");
}

TEST_CASE("spans point at the bytes of the file, also across continuations") {
    const SourceFile file{"Buildfile", "FROM a\n\n  COPY --chmod=1 x \\\n   y /z\n"};
    const Ast ast = parse_ast(file);
    const Node& node = ast.nodes.at(1);
    CHECK(node.span == Span{3, 3, 4, 8});
    CHECK(text_at(file, node.keyword_span) == "COPY");
    CHECK(text_at(file, node.flags.at(0).span) == "--chmod=1");
    const std::size_t y = node.original().find('y');
    CHECK(text_at(file, node.line.span(y, y + 1)) == "y");
    CHECK(node.line.span(y, y + 1).line == 4);
}

TEST_CASE("the tail of a line keeps its places") {
    LogicalLine line;
    line.append("abc", 3, 5);
    line.append("def", 4, 1);
    const LogicalLine tail = line.tail(2);
    CHECK(tail.text() == "cdef");
    CHECK(tail.span(0, 1) == Span{3, 7, 3, 8});
    CHECK(tail.span(1, 4) == Span{4, 1, 4, 4});
}

TEST_CASE("directives end at the first line of another kind") {
    CHECK(read("# syntax=x\n# escape=`\nFROM a\n").escape == '`');
    CHECK(read("# comment\n# escape=`\nFROM a\n").escape == '\\');
    CHECK(read("\n# escape=`\nFROM a\n").escape == '\\');
}

TEST_CASE("a directive that is wrong or comes twice is an error with its place") {
    const Ast twice = read("# escape=`\n# ESCAPE=\\\nFROM a\n");
    CHECK(first_code(twice) == "parse.duplicate-directive");
    CHECK(twice.diagnostics.at(0).span == Span{2, 1, 2, 11});
    CHECK(first_code(read("# escape=x\nFROM a\n")) == "parse.bad-directive");
}

TEST_CASE("comments above an instruction belong to it, blank lines between or not") {
    const Ast ast = read("# one\n\n#two \nFROM a\nRUN b\n");
    CHECK(ast.nodes.at(0).previous_comment == std::vector<std::string>{"one", "two"});
    CHECK(ast.nodes.at(1).previous_comment.empty());
    CHECK(read("# one\n#\n# two\nFROM a\n").nodes.at(0).previous_comment == std::vector<std::string>{"two"});
}

TEST_CASE("a file without instructions is an error") {
    CHECK(first_code(read("")) == "parse.no-instructions");
    CHECK(first_code(read("# only a comment\n")) == "parse.no-instructions");
}

TEST_CASE("a line and a file have a largest size") {
    CHECK(first_code(read("RUN " + std::string(kMaxLineBytes - 4, 'x'))).empty());
    CHECK(first_code(read("RUN " + std::string(kMaxLineBytes - 3, 'x'))) == "parse.line-too-long");
    CHECK(first_code(read(std::string(kMaxFileBytes + 1, '\n'))) == "parse.file-too-large");
}

TEST_CASE("the number of instructions is bounded") {
    std::string text;
    for (std::size_t i = 0; i <= kMaxInstructions; ++i) {
        text += "RUN\n";
    }
    const Ast ast = read(text);
    CHECK(ast.nodes.size() == kMaxInstructions);
    CHECK(first_code(ast) == "parse.too-many-instructions");
}

TEST_CASE("flags end at the first other word or at two dashes") {
    const Ast ast = read("COPY --a --b='c d' -- --e f\n");
    const Node& node = ast.nodes.at(0);
    REQUIRE(node.flags.size() == 2);
    CHECK(node.flags[1].text == "--b=c d");
    CHECK(node.arguments() == "--e f");
}

TEST_CASE("errors do not keep the rest of the file from being read") {
    const Ast ast = read("# escape=x\nFROM a\nRUN <<EOF\n");
    CHECK(ast.nodes.size() == 2);
    CHECK(ast.diagnostics.size() == 2);
}
