#include "cli/print_error.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>

namespace imgbuild::cli {
namespace {

std::shared_ptr<const SourceFile> file_of(std::string text) {
    return std::make_shared<const SourceFile>(SourceFile{"Buildfile", std::move(text)});
}

Diagnostic diagnostic_of(Severity severity, std::string message, Span span, std::string hint = "") {
    return {severity, "parse.some-code", std::move(message), std::move(hint), span};
}

TEST_CASE("all errors of a build file are shown, each at its place, and no warnings among them") {
    const auto file = file_of("FROM a\nRUM make\nCOPY\n");
    const ParseError error(
        file, {diagnostic_of(Severity::error, "unknown instruction 'RUM'", {2, 1, 2, 4}, "did you mean RUN?"),
               diagnostic_of(Severity::warning, "not shown", {1, 1, 1, 2}),
               diagnostic_of(Severity::error, "COPY needs two arguments", {3, 1, 3, 5})});
    CHECK(render_error(error) ==
          "error: unknown instruction 'RUM'\n"
          "Buildfile:2\n"
          "--------------------\n"
          "     1 |     FROM a\n"
          "     2 | >>> RUM make\n"
          "       |     ^^^\n"
          "     3 |     COPY\n"
          "--------------------\n"
          "hint: did you mean RUN?\n"
          "error: COPY needs two arguments\n"
          "Buildfile:3\n"
          "--------------------\n"
          "     1 |     FROM a\n"
          "     2 |     RUM make\n"
          "     3 | >>> COPY\n"
          "--------------------\n");
}

TEST_CASE("of thousands of errors the first are shown and the others counted") {
    const auto file = file_of("BOGUS\n");
    const std::vector<Diagnostic> many(3000, diagnostic_of(Severity::error, "unknown instruction", {1, 1, 1, 6}));
    const std::string text = render_error(ParseError(file, many));
    CHECK(text.size() < 20000);
    CHECK(text.ends_with("error: 2950 more\nhint: imgbuild lint lists all of them\n"));
}

TEST_CASE("a failed step shows the end of its output, all its lines, and where its log lies") {
    const auto file = file_of("FROM a\nRUN one && \\\n    two\nCMD x\n");
    StepFailed error({.code = "build.step-failed",
                      .message = "RUN one && two: exit code 127",
                      .hint = "is the program installed in the image, and in its PATH?",
                      .where = SourceSpan{file, {2, 1, 3, 8}}},
                     127, "one done\ntwo: not found", "/store/logs/2.log");
    error.add_frame("building the stage 'a'");
    CHECK(render_error(error) ==
          "------\n"
          "  one done\n"
          "  two: not found\n"
          "------\n"
          "Buildfile:2\n"
          "--------------------\n"
          "     1 |     FROM a\n"
          "     2 | >>> RUN one && \\\n"
          "     3 | >>>     two\n"
          "     4 |     CMD x\n"
          "--------------------\n"
          "error: building the stage 'a': RUN one && two: exit code 127\n"
          "hint: is the program installed in the image, and in its PATH?\n"
          "log: /store/logs/2.log\n");
}

TEST_CASE("an error without a place is a line and a hint") {
    CHECK(render_error(UsageError({.code = "usage.x", .message = "no", .hint = "yes", .where = {}})) ==
          "error: no\nhint: yes\n");
    CHECK(render_error(IoError("open", "/x", 2)).starts_with("error: open '/x': No such file"));
}

TEST_CASE("a warning is one line with its place, and a hint") {
    const auto file = file_of("FROM a\nRUN b\n");
    const Diagnostic warning = diagnostic_of(Severity::warning, "odd", {2, 1, 2, 4}, "change it");
    CHECK(render_diagnostic(warning, file.get()) == "warning: odd (Buildfile:2)\nhint: change it\n");
    CHECK(render_diagnostic(warning, nullptr) == "warning: odd\nhint: change it\n");
}

TEST_CASE("carets stand below the marked characters, after tabs and UTF-8 as well") {
    const auto file = file_of("RUN\tgrüße --x\n");
    // The bytes of "--x": each of ü and ß has two.
    CHECK(render_excerpt(*file, {1, 13, 1, 16}) ==
          "Buildfile:1\n"
          "--------------------\n"
          "     1 | >>> RUN grüße --x\n"
          "       |               ^^^\n"
          "--------------------\n");
}

TEST_CASE("a place at the end of the file or behind it shows what there is") {
    const std::string last =
        "Buildfile:2\n"
        "--------------------\n"
        "     1 |     FROM a\n"
        "     2 | >>> RUN <<E\n"
        "--------------------\n";
    CHECK(render_excerpt(*file_of("FROM a\nRUN <<E"), {2, 8, 2, 8}) == last);
    CHECK(render_excerpt(*file_of("FROM a\nRUN <<E\n"), {2, 8, 2, 8}) == last);
    CHECK(render_excerpt(*file_of("FROM a\n"), {2, 1, 2, 1}).find("     1 |     FROM a\n") != std::string::npos);
    CHECK_NOTHROW(render_excerpt(*file_of("FROM a\n"), {4000, 1, 4000, 1}));
    CHECK_NOTHROW(render_excerpt(*file_of(""), {1, 1, 1, 1}));
    CHECK(render_excerpt(*file_of("FROM a\n"), {}).empty());
}

TEST_CASE("a long line is cut between characters, and escape sequences do not reach the terminal") {
    // Byte 200 is the second half of an ü.
    const std::string excerpt = render_excerpt(*file_of(std::string(199, 'a') + "üb"), {1, 1, 1, 2});
    CHECK(excerpt.find(std::string(199, 'a') + "…\n") != std::string::npos);
    CHECK(render_excerpt(*file_of("RUN \x1b[2J"), {1, 1, 1, 2}).find('\x1b') == std::string::npos);
}

TEST_CASE("an excerpt of an instruction of a thousand lines is short") {
    const std::string excerpt = render_excerpt(*file_of(std::string(2000, '\n')), {2, 1, 1500, 1});
    CHECK(std::count(excerpt.begin(), excerpt.end(), '\n') < 20);
}

TEST_CASE("an error as JSON has everything that programs ask for, in one line") {
    RegistryError error({.code = "registry.denied", .message = "no \"way\"\n", .hint = "ask", .where = {}}, 403,
                        RegistryError::Retry::no);
    error.add_frame("pushing 'a'");
    CHECK(
        render_error_json(error, 10) ==
        R"({"error":{"code":"registry.denied","exit_code":10,"hint":"ask","http_status":403,"message":"no \"way\"\n",)"
        R"("v":1,"while":["pushing 'a'"]}})"
        "\n");
}

TEST_CASE("all problems of a build file are in its JSON, each with its place") {
    const ParseError error(file_of("FROM a\nFOO\n"),
                           {{Severity::error, "parse.unknown-instruction", "one", "did you mean RUN?", {2, 1, 2, 4}},
                            {Severity::warning, "parse.empty-continuation", "two", "", {}}});
    const std::string text = render_error_json(error, 2);
    CHECK(
        text.find(R"("diagnostics":[{"code":"parse.unknown-instruction","hint":"did you mean RUN?","message":"one",)"
                  R"("severity":"error","where":{"column":1,"end_column":4,"end_line":2,"file":"Buildfile","line":2}},)"
                  R"({"code":"parse.empty-continuation","message":"two","severity":"warning"}])") != std::string::npos);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

}  // namespace
}  // namespace imgbuild::cli
