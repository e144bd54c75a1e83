#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

std::vector<std::string> names(std::string_view line) {
    std::vector<std::string> result;
    for (const Heredoc& heredoc : find_heredocs(line)) {
        result.push_back(heredoc.name);
    }
    return result;
}

}  // namespace

TEST_CASE("a heredoc word tells name, descriptor, tabs and expansion") {
    const std::optional<Heredoc> heredoc = parse_heredoc_word("3<<-'EOF'");
    REQUIRE(heredoc);
    CHECK(heredoc->name == "EOF");
    CHECK(heredoc->fd == 3);
    CHECK(heredoc->strip_tabs);
    CHECK_FALSE(heredoc->expand);
    CHECK(parse_heredoc_word("<<EOF")->expand);
}

TEST_CASE("other words are no heredocs") {
    const auto word = GENERATE("EOF", "<EOF", "<<", "<<-", "<<<EOF", "x<<EOF", "<<\"\"", "<<a b");
    CHECK_FALSE(parse_heredoc_word(word));
}

TEST_CASE("a heredoc word with an open quote or a large descriptor is refused") {
    CHECK(thrown_code([] { parse_heredoc_word("<<EOF\""); }) == "parse.bad-heredoc");
    CHECK(thrown_code([] { parse_heredoc_word("99999999999999999999999<<EOF"); }) == "parse.bad-heredoc");
}

TEST_CASE("heredocs of a line are found in order, but not inside quotes") {
    CHECK(names("RUN a <<A b <<'B C'") == std::vector<std::string>{"A", "B C"});
    CHECK(names("RUN echo \"<<A\" \\<<B $((1<<2)) <<<C").empty());
    CHECK(names("RUN cat << A") == std::vector<std::string>{"A"});
}

TEST_CASE("bodies of several heredocs follow each other") {
    const Copy copy = only<Copy>("COPY <<a.txt <<-b.txt /d/\none\na.txt\n\t\ttwo\n\tb.txt");
    REQUIRE(copy.files.heredocs.size() == 2);
    CHECK(copy.files.heredocs[0].text == "one\n");
    CHECK(copy.files.heredocs[1].text == "two\n");
}

TEST_CASE("nothing inside a body is looked at but the terminator") {
    const BuildFile file = parse("FROM a\nRUN <<EOF\nFROM b\n# c\nd \\\n EOF\nEOF\nRUN e\n");
    REQUIRE(file.stages.size() == 1);
    const auto& run = std::get<Run>(file.stages[0].instructions.at(0).body);
    CHECK(run.heredocs.at(0).text == "FROM b\n# c\nd \\\n EOF\n");
    CHECK(file.stages[0].instructions.size() == 2);
}

TEST_CASE("a body that never ends is an error at the line that opened it") {
    const BuildFile file = parse("FROM a\nRUN <<EOF\nx\n");
    REQUIRE(file.diagnostics.size() == 1);
    CHECK(file.diagnostics[0].code == "parse.unterminated-heredoc");
    CHECK(file.diagnostics[0].span.line == 2);
}

TEST_CASE("the number of heredocs of one instruction is bounded") {
    std::string line = "RUN";
    for (std::size_t i = 0; i <= kMaxHeredocs; ++i) {
        line += " <<E";
    }
    CHECK(thrown_code([&] { find_heredocs(line); }) == "parse.too-many-heredocs");
}
