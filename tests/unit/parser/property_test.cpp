// Properties that hold for any input: nothing crashes, every span lies inside the file, and reading what an
// instruction says it was gives the same instruction again.

#include "parser/print.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

#include <algorithm>
#include <random>

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    std::string file() {
        static const std::vector<std::string> kPieces = {
            "FROM ", "RUN ", "COPY ", "ENV ",   "ONBUILD ", "HEALTHCHECK ", "LABEL ", "# escape=`\n", "\n", "\n",
            "a",     "b=c ", "\\",    "\\\n",   " ",        "\t",           "'",      "\"",           "$x", "${",
            "}",     "[\"a", "\"]",   "<<EOF",  "\nEOF\n",  "<<-E",         "\nE\n",  "--from=x ",    "--", "#",
            "\r\n",  "\xFF", "\0",    "\u00a0", ",",        "--mount=type", "=cache", "`\n",          "`",  "=",
        };
        std::string text;
        const int count = static_cast<int>(random_() % 40);
        for (int i = 0; i < count; ++i) {
            text += kPieces[random_() % kPieces.size()];
        }
        return text;
    }

private:
    std::mt19937 random_;
};

std::uint32_t lines_in(const std::string& text) {
    return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
}

/// All of a tree but its places.
std::vector<std::string> facts_of(const Ast& ast) {
    std::vector<std::string> facts = {std::string(1, ast.escape)};
    for (const Directive& directive : ast.directives) {
        facts.push_back("directive " + directive.name + " " + directive.value);
    }
    for (const Node& node : ast.nodes) {
        facts.push_back("node " + node.keyword + " " + node.original());
        facts.push_back("arguments " + std::string(node.arguments()));
        for (const Flag& flag : node.flags) {
            facts.push_back("flag " + flag.text);
        }
        for (const std::string& comment : node.previous_comment) {
            facts.push_back("comment " + comment);
        }
        for (const Heredoc& heredoc : node.heredocs) {
            facts.push_back("heredoc " + heredoc.name + (heredoc.expand ? " expand" : "") +
                            (heredoc.strip_tabs ? " strip " : " ") + std::to_string(heredoc.fd));
            facts.push_back(heredoc.content);
        }
    }
    return facts;
}

}  // namespace

TEST_CASE("any text is read without a crash and with spans inside of it") {
    const unsigned seed = 20261124;
    CAPTURE(seed);
    Generator generator(seed);
    for (int i = 0; i < 5000; ++i) {
        const BuildFile file = parse(generator.file());
        const std::uint32_t lines = lines_in(file.source->text);
        CAPTURE(file.source->text);
        for (const Diagnostic& diagnostic : file.diagnostics) {
            REQUIRE_FALSE(diagnostic.code.empty());
            REQUIRE(diagnostic.span.end_line <= lines);
        }
        for (const Stage& stage : file.stages) {
            for (const Instruction& instruction : stage.instructions) {
                REQUIRE(instruction.span.line >= stage.span.line);
                REQUIRE(instruction.span.end_line <= lines);
            }
        }
    }
}

TEST_CASE("a tree that is printed reads as the same tree") {
    const unsigned seed = 20261125;
    CAPTURE(seed);
    Generator generator(seed);
    int compared = 0;
    for (int i = 0; i < 10000; ++i) {
        const Ast first = parse_ast({"Buildfile", generator.file()});
        if (std::any_of(first.diagnostics.begin(), first.diagnostics.end(),
                        [](const Diagnostic& d) { return d.severity == Severity::error; })) {
            continue;
        }
        const std::string printed = print_ast(first);
        CAPTURE(printed);
        const Ast second = parse_ast({"Buildfile", printed});
        REQUIRE(facts_of(second) == facts_of(first));
        REQUIRE(print_ast(second) == printed);
        ++compared;
    }
    CHECK(compared > 1500);
}

TEST_CASE("an instruction's text read again is the same instruction") {
    Generator generator(7);
    int compared = 0;
    for (int i = 0; i < 5000; ++i) {
        const Ast first = parse_ast({"Buildfile", generator.file()});
        if (first.escape != '\\') {
            continue;
        }
        for (const Node& node : first.nodes) {
            // What was joined at an escape character can end in another one, which then is a continuation.
            if (!node.heredocs.empty() || node.original().contains('\\') || node.keyword.empty() ||
                node.original().starts_with('#')) {
                continue;
            }
            const Ast second = parse_ast({"Buildfile", "\n" + node.original() + "\n"});
            CAPTURE(node.original());
            REQUIRE(second.nodes.size() == 1);
            REQUIRE(second.nodes[0].keyword == node.keyword);
            REQUIRE(second.nodes[0].arguments() == node.arguments());
            ++compared;
        }
    }
    CHECK(compared > 300);
}
