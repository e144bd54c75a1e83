#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild;
using namespace imgbuild::parser;
using namespace std::chrono_literals;

namespace {

std::string code_of(const std::string& line) {
    return error_code("FROM base\n" + line + "\n");
}

}  // namespace

TEST_CASE("RUN reads its flags and leaves the command alone") {
    const Run run = only<Run>("RUN --mount=type=cache,target=/$X --network=none --security=insecure echo $A \"b\"");
    CHECK(run.command.words == std::vector<std::string>{"echo $A \"b\""});
    REQUIRE(run.mounts.size() == 1);
    CHECK(run.mounts[0].options.at(1).key == "target");
    CHECK(run.mounts[0].options.at(1).value == "/$X");
    CHECK(run.network == NetworkMode::none);
    CHECK(run.security == SecurityMode::insecure);
    CHECK(run.flags_used == std::vector<std::string>{"mount", "network", "security"});
}

TEST_CASE("flags of RUN with other values are refused") {
    CHECK(code_of("RUN --network=bogus a") == "parse.bad-flag-value");
    CHECK(code_of("RUN --security=bogus a") == "parse.bad-flag-value");
    CHECK(code_of("RUN --mount= a") == "parse.bad-flag-value");
    CHECK(code_of("RUN --mount=type=bogus,target=/x a") == "parse.bad-mount");
    CHECK(code_of("RUN --mount=type=$T,target=/x a").empty());
}

TEST_CASE("a heredoc with tabs to strip reaches RUN without them") {
    const Run run = only<Run>("RUN <<-E cat\n\ta\n\t\tb\n\tE");
    CHECK(run.heredocs.at(0).text == "a\nb\n");
    CHECK(run.command.words == std::vector<std::string>{"<<-E cat"});
}

TEST_CASE("HEALTHCHECK reads its times") {
    const Healthcheck check =
        only<Healthcheck>("HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0 --retries=3 CMD a b");
    CHECK(check.interval == 90s);
    CHECK(check.timeout == 500ms);
    CHECK(check.start_period == 0s);
    CHECK(check.retries == 3);
    CHECK(check.command.words == std::vector<std::string>{"a b"});
    CHECK(only<Healthcheck>("HEALTHCHECK cmd [\"a\"]").command.form == CommandLine::Form::exec);
    CHECK(only<Healthcheck>("HEALTHCHECK NONE").none);
}

TEST_CASE("HEALTHCHECK refuses what it cannot mean") {
    CHECK(code_of("HEALTHCHECK NONE x") == "parse.wrong-arguments");
    CHECK(code_of("HEALTHCHECK CMD") == "parse.wrong-arguments");
    CHECK(code_of("HEALTHCHECK FOO x") == "parse.wrong-arguments");
    CHECK(code_of("HEALTHCHECK --interval=50ns CMD x") == "parse.bad-flag-value");
    CHECK(code_of("HEALTHCHECK --interval=x CMD x") == "parse.bad-value");
    CHECK(code_of("HEALTHCHECK --retries=-1 CMD x") == "parse.bad-flag-value");
}

TEST_CASE("ONBUILD keeps its trigger as text and parsed") {
    const Onbuild onbuild = only<Onbuild>("ONBUILD  COPY --from=x a \\\n  b");
    CHECK(onbuild.text == "COPY --from=x a   b");
    REQUIRE(onbuild.trigger);
    CHECK(std::get<Copy>(onbuild.trigger->body).from->text == "x");
}

TEST_CASE("the trigger's text carries its heredocs, so that it can be read again") {
    const Onbuild onbuild = only<Onbuild>("ONBUILD RUN <<EOF\nx\nEOF");
    CHECK(onbuild.text == "RUN <<EOF\nx\nEOF");
    const Instruction again = parse_trigger(source_of(onbuild.text));
    CHECK(std::get<Run>(again.body).heredocs.at(0).text == "x\n");
}

TEST_CASE("some triggers are forbidden, and mistakes inside of one are told now") {
    CHECK(code_of("ONBUILD ONBUILD RUN x") == "parse.wrong-arguments");
    CHECK(code_of("ONBUILD FROM x") == "parse.wrong-arguments");
    CHECK(code_of("ONBUILD maintainer x") == "parse.wrong-arguments");
    CHECK(code_of("ONBUILD BOGUS x") == "parse.bad-trigger");
    CHECK(code_of("ONBUILD COPY x") == "parse.bad-trigger");
}
