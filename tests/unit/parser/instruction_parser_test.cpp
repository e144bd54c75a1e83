#include "parser/instruction_parser.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;

namespace {

std::vector<std::string> texts(const std::vector<Word>& words) {
    std::vector<std::string> result;
    for (const Word& word : words) {
        result.push_back(word.text);
    }
    return result;
}

std::string code_of(const std::string& line) {
    return error_code("FROM base\n" + line + "\n");
}

}  // namespace

TEST_CASE("ENV and LABEL take pairs with quotes, or one pair in the old form") {
    const Env env = only<Env>("ENV a=1 b=\"2 3\" c=$x\\ y");
    REQUIRE(env.pairs.size() == 3);
    CHECK(env.pairs[1].value.text == "\"2 3\"");
    CHECK(env.pairs[2].value.text == "$x\\ y");
    const Label label = only<Label>("LABEL key  the rest = of it");
    REQUIRE(label.pairs.size() == 1);
    CHECK(label.pairs[0].legacy);
    CHECK(label.pairs[0].value.text == "the rest = of it");
}

TEST_CASE("values know where they stand in the file") {
    const BuildFile file = parse("FROM a\nENV x=1 \\\n  name=\"v w\"\n");
    const auto& env = std::get<Env>(file.stages.at(0).instructions.at(0).body);
    CHECK(text_at(*file.source, env.pairs.at(1).key.span) == "name");
    CHECK(text_at(*file.source, env.pairs.at(1).value.span) == "\"v w\"");
}

TEST_CASE("ARG takes several names with and without a default") {
    const Arg arg = only<Arg>("ARG a b= c='x y'");
    REQUIRE(arg.items.size() == 3);
    CHECK_FALSE(arg.items[0].value);
    CHECK(arg.items[1].value->text.empty());
    CHECK(arg.items[2].value->text == "'x y'");
}

TEST_CASE("commands are a list or a text for the shell") {
    CHECK(only<Cmd>("CMD [\"a\", \"b\"]").command.form == CommandLine::Form::exec);
    CHECK(only<Cmd>("CMD [\"a\", \"b\"]").command.words == std::vector<std::string>{"a", "b"});
    CHECK(only<Entrypoint>("ENTRYPOINT a  b").command.words == std::vector<std::string>{"a  b"});
    CHECK(only<Cmd>("CMD [a]").command.form == CommandLine::Form::shell);
    CHECK(only<Cmd>("CMD []").command.words.empty());
    CHECK(code_of("CMD [1]") == "parse.bad-json-list");
}

TEST_CASE("SHELL takes a list only") {
    CHECK(only<Shell>("SHELL [\"/bin/bash\", \"-c\"]").words.size() == 2);
    CHECK(code_of("SHELL /bin/bash") == "parse.wrong-arguments");
    CHECK(code_of("SHELL []") == "parse.wrong-arguments");
}

TEST_CASE("words of lists are kept as they are written") {
    CHECK(texts(only<Expose>("EXPOSE 80 $P/udp").ports) == std::vector<std::string>{"80", "$P/udp"});
    CHECK(texts(only<Volume>("VOLUME /a /b").paths) == std::vector<std::string>{"/a", "/b"});
    CHECK(texts(only<Volume>("VOLUME [\"/a b\"]").paths) == std::vector<std::string>{"/a b"});
    CHECK(only<Workdir>("WORKDIR /a b").path.text == "/a b");
    CHECK(only<User>("USER $U").user.text == "$U");
    CHECK(only<StopSignal>("STOPSIGNAL 9").signal.text == "9");
    CHECK(only<Maintainer>("MAINTAINER a b <c@d>").author.text == "a b <c@d>");
}

TEST_CASE("missing arguments are refused") {
    const auto line = GENERATE("WORKDIR", "USER", "STOPSIGNAL", "MAINTAINER", "EXPOSE", "VOLUME", "ENV", "LABEL", "ARG",
                               "ONBUILD", "HEALTHCHECK", "COPY a", "ADD a", "ENV =x", "ARG =x", "VOLUME [\"\"]");
    CHECK(code_of(line) == "parse.wrong-arguments");
}

TEST_CASE("instructions without flags refuse any") {
    const auto line = GENERATE("ENV --x a=b", "WORKDIR --x /a", "CMD --x a", "EXPOSE --x 80", "USER --x a");
    CHECK(code_of(line) == "parse.unknown-flag");
}

TEST_CASE("an instruction keeps its text for progress and history") {
    const BuildFile file = parse("FROM a\n  run  a \\\n  b\n");
    const Instruction& run = file.stages.at(0).instructions.at(0);
    CHECK(run.keyword == "run");
    CHECK(run.original == "run  a   b");
    CHECK(run.span == Span{2, 3, 3, 4});
}
