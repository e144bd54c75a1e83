#include "builder/lint/check_options.hpp"

#include <imgbuild/error.hpp>

#include "builder/lint/word_rules.hpp"
#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;

TEST_CASE("check options name rules, all of them, or whether they are errors") {
    const CheckOptions options = CheckOptions::parse("skip=A,B;error=true;experimental=C trailing words");
    CHECK(options.skip == std::set<std::string, std::less<>>{"A", "B"});
    CHECK(options.experimental == std::set<std::string, std::less<>>{"C"});
    CHECK(options.error);
    CHECK_FALSE(options.skip_all);
    CHECK(options.unknown_names() == std::vector<std::string>{"A", "B", "C"});
    CHECK(CheckOptions::parse("skip=all").skip_all);
    CHECK(CheckOptions::parse("experimental=all").experimental_all);
    CHECK_FALSE(CheckOptions::parse("error=0").error);
    CHECK_FALSE(CheckOptions::parse("").skip_all);
}

TEST_CASE("check options that cannot be read are refused") {
    for (const std::string_view text : {"skip", "skip=A;", "errors=true", "error=maybe", "=A"}) {
        INFO(text);
        CHECK_THROWS_AS(CheckOptions::parse(text), Error);
    }
}

TEST_CASE("experimental checks are asked for and not skipped, others the other way round") {
    const Rule& experimental = rule_of(RuleId::invalid_definition_description);
    const Rule& ordinary = rule_of(RuleId::from_as_casing);
    CHECK_FALSE(CheckOptions{}.wants(experimental));
    CHECK(CheckOptions{}.wants(ordinary));
    const CheckOptions both = CheckOptions::parse("skip=all;experimental=InvalidDefinitionDescription");
    CHECK(both.wants(experimental));
    CHECK_FALSE(both.wants(ordinary));
}

TEST_CASE("a comment above an instruction adds to the file's options") {
    const CheckOptions options =
        CheckOptions::parse("skip=A").with_comment({"words", "check=skip=B", "check=nonsense"});
    CHECK(options.skip == std::set<std::string, std::less<>>{"A", "B"});
    CHECK(CheckOptions{}.with_comment({"check = skip=all // here only"}).skip_all);
}

TEST_CASE("names of secrets are told from others by their words") {
    for (const std::string_view name : {"TOKEN", "api_key", "DB_PASSWORD", "auth", "my_secret_message", "apikey"}) {
        CHECK(looks_like_secret(name));
    }
    for (const std::string_view name :
         {"TOKENS", "keyboard", "PUBLIC_KEY", "password_file", "AUTH_VERSION", "author", ""}) {
        CHECK_FALSE(looks_like_secret(name));
    }
}
