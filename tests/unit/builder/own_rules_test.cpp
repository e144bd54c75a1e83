#include "builder/lint/own_rules.hpp"

#include "parser/file.hpp"
#include "tests/support/catch.hpp"

#include <memory>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

parser::Run run_of(const std::string& text) {
    const parser::BuildFile file =
        parser::parse_file(std::make_shared<const SourceFile>(SourceFile{"Buildfile", "FROM a\n" + text}));
    return std::get<parser::Run>(file.stages.at(0).instructions.at(0).body);
}

bool ignores_errors(const std::string& script, const std::vector<std::string>& shell = {}) {
    return script_ignores_errors(run_of("RUN <<EOF\n" + script + "EOF\n"), shell);
}

}  // namespace

TEST_CASE("a script of several commands that goes on after errors is seen") {
    CHECK(ignores_errors("a\nb\n"));
    CHECK(ignores_errors("a\nb\nset -e\n"));
    CHECK(ignores_errors("#!/bin/bash\na\nb\n"));
    CHECK(ignores_errors("#!/usr/bin/env bash\na\nb\n"));
    CHECK(ignores_errors("a\nb\n", {"/bin/bash", "-c"}));
}

TEST_CASE("scripts that stop at errors, have one command, or are for no shell are fine") {
    for (const std::string script :
         {"set -e\na\nb\n", "set -eux\na\nb\n", "# words\n\nset -o errexit\na\nb\n", "a\n", "a &&\nb\n", "a \\\n  b\n",
          "#!/bin/sh -e\na\nb\n", "#!/usr/bin/python3\na\nb\n", ""}) {
        INFO(script);
        CHECK_FALSE(ignores_errors(script));
    }
    CHECK_FALSE(ignores_errors("a\nb\n", {"/bin/bash", "-euo", "pipefail", "-c"}));
    CHECK_FALSE(ignores_errors("a\nb\n", {"powershell"}));
    CHECK_FALSE(script_ignores_errors(run_of("RUN python3 <<EOF\na\nb\nEOF\n"), {}));
    CHECK_FALSE(script_ignores_errors(run_of("RUN a; b\n"), {}));
}

TEST_CASE("recursive changes of owners and modes are seen with their paths") {
    const auto [text, paths] = GENERATE(table<std::string, std::vector<std::string>>({
        {"RUN chown -R 1:1 /a b\n", {"/a", "b"}},
        {"RUN true && chmod --recursive go-w /a; chgrp -hR x /b\n", {"/a", "/b"}},
        {"RUN <<EOF\nchown -R x /a\nEOF\n", {"/a"}},
        {"RUN chown 1 /a\n", {}},
        {"RUN chown -R $U $D\n", {}},
        {"RUN echo chown -R 1 /a\n", {}},
        {"RUN [\"chown\", \"-R\", \"1\", \"/a\"]\n", {}},
    }));
    std::vector<std::string> found;
    for (const OwnerChange& change : owner_changes(run_of(text))) {
        found.push_back(change.path);
    }
    CHECK(found == paths);
}
