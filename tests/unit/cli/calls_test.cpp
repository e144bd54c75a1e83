#include "cli/calls.hpp"

#include <imgbuild/error.hpp>

#include "cli/exit_code.hpp"
#include "cli/lint_report.hpp"
#include "cli/outline_report.hpp"
#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

CheckedFile checked(const std::string& text) {
    CheckedFile result;
    result.source = std::make_shared<const SourceFile>(SourceFile{"./Buildfile", text});
    result.file = parser::parse_file(result.source);
    result.survey = builder::survey(result.file, {});
    return result;
}

TEST_CASE("--call names what is asked for and how it is answered") {
    CHECK(parse_call("").kind == Call::Kind::build);
    CHECK(parse_call("build").kind == Call::Kind::build);
    CHECK(parse_call("check").kind == Call::Kind::check);
    CHECK(parse_call("outline,format=json").kind == Call::Kind::outline);
    CHECK(parse_call("outline,format=json").format == "json");
    CHECK(parse_call("check,format=sarif").format == "sarif");
    CHECK(parse_call("targets").format == "text");
    for (const std::string text :
         {"checks", "check,json", "outline,format=sarif", "targets,format=", ",format=json,x"}) {
        INFO(text);
        CHECK_THROWS_AS(parse_call(text), UsageError);
    }
}

TEST_CASE("nothing found is nothing said, and each kind of finding has its exit code") {
    CHECK(render_lint(checked("FROM scratch\n"), "text").empty());
    CHECK(lint_exit_code(checked("FROM scratch\n")) == kOk);
    CHECK(lint_exit_code(checked("FROM scratch as a\n")) == kCheckFailed);
    CHECK(lint_exit_code(checked("FROM scratch as a\nBOGUS\n")) == kUsage);
}

TEST_CASE("findings are listed with place, line, carets and a hint") {
    CHECK(render_lint_text(checked("FROM scratch as a\n")) ==
          "./Buildfile:1:14: warning: 'as' and 'FROM' keywords' casing do not match [FromAsCasing]\n"
          "     1 | FROM scratch as a\n"
          "       |              ^^\n"
          "  hint: write AS\n"
          "1 warning; imgbuild lint --fix mends 1\n");
    const std::string both = render_lint_text(checked("FROM scratch as a\nBOGUS\nBOGUS\n"));
    CHECK(both.ends_with("2 errors, 1 warning; imgbuild lint --fix mends 1\n"));
}

TEST_CASE("places in SARIF count characters, and its paths are relative") {
    const auto report = nlohmann::json::parse(render_lint_sarif(checked("FROM scratch\nLABEL ü x\nMAINTAINER ü\n")));
    const auto& results = report["runs"][0]["results"];
    REQUIRE(results.size() == 2);
    const auto& place = results[0]["locations"][0]["physicalLocation"];
    CHECK(place["artifactLocation"]["uri"] == "Buildfile");
    CHECK(place["region"]["startColumn"] == 7);
    CHECK(place["region"]["endColumn"] == 8);
    CHECK(results[1]["fixes"][0]["artifactChanges"][0]["replacements"][0]["deletedRegion"]["endColumn"] == 13);
}

TEST_CASE("stages without a name are told by their number") {
    const CheckedFile file = checked("# a the first\nFROM scratch AS a\nFROM a\n");
    CHECK(render_targets_text(file.file) ==
          "TARGET       BASE     LINE  DESCRIPTION\n"
          "a            scratch  2     the first\n"
          "1 (default)  a        3\n");
    CHECK(render_outline_text(file) == "TARGET: (unnamed)\n");
}

}  // namespace
}  // namespace imgbuild::cli
