#include "parser/directives.hpp"

#include "tests/support/catch.hpp"

using namespace imgbuild::parser;

TEST_CASE("a directive is a name and a value behind a hash") {
    const std::optional<Directive> directive = match_directive("#\tSyntax = a b ", "#");
    REQUIRE(directive);
    CHECK(directive->name == "syntax");
    CHECK(directive->value == "a b");
    const auto line = GENERATE("", "#", "# a", "# =b", "# a=", "# 1a=b", "# a b=c", "a=b");
    CHECK_FALSE(match_directive(line, "#"));
}

TEST_CASE("the syntax of files for other frontends is found") {
    CHECK(find_directive_in_any("#!/bin/sh\n# syntax=x\n", "syntax")->span.line == 2);
    CHECK(find_directive_in_any("//syntax=x\n", "syntax")->value == "x");
    CHECK(find_directive_in_any("{\"syntax\": \"x\"}", "syntax")->value == "x");
    CHECK_FALSE(find_directive_in_any("{\"syntax\": \"x\"", "syntax"));
    CHECK_FALSE(find_directive_in_any("\n# syntax=x\n", "syntax"));
}
