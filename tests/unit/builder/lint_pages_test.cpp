#include "builder/lint/rules.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/lint_support.hpp"
#include "util/fd.hpp"

#include <algorithm>
#include <set>

using namespace imgbuild;
using namespace imgbuild::builder;
using namespace imgbuild::builder::testing;

namespace {

/// The text of the first fenced block behind `heading`.
std::string example(const std::string& page, const std::string& heading) {
    const std::string fence = heading + "\n\n```dockerfile\n";
    const std::size_t begin = page.find(fence);
    REQUIRE(begin != std::string::npos);
    const std::size_t end = page.find("```\n", begin + fence.size());
    return page.substr(begin + fence.size(), end - begin - fence.size());
}

bool finds(const std::string& text, RuleId rule) {
    static const parser::IgnoreMatcher kIgnore({"*.log"});
    SurveyOptions options = survey_options();
    options.ignore = &kIgnore;
    const Survey survey = survey_text(text, options);
    return std::any_of(survey.findings.begin(), survey.findings.end(),
                       [rule](const Finding& finding) { return finding.rule == rule; });
}

}  // namespace

TEST_CASE("every check has a page whose examples show it") {
    for (const Rule& rule : all_rules()) {
        INFO(rule.name);
        const std::string page = util::read_file(rule.page(), 1U << 20);
        CHECK(page.starts_with("# " + std::string(rule.name) + "\n"));
        CHECK(finds(example(page, "Found:"), rule.id));
        CHECK_FALSE(finds(example(page, "Fine:"), rule.id));
    }
}

TEST_CASE("the index of the checks has them all, and says which can be mended") {
    const std::string index = util::read_file("docs/lint/README.md", 1U << 20);
    for (const Rule& rule : all_rules()) {
        INFO(rule.name);
        const std::string name(rule.name);
        CHECK(index.find("[" + name + "](" + name + ".md)") != std::string::npos);
        const std::string bad = example(util::read_file(rule.page(), 1U << 20), "Found:");
        const bool mendable = mended(bad) != bad;
        const std::size_t row = index.find("[" + name + "]");
        const std::string line = index.substr(row, index.find('\n', row) - row);
        CHECK(line.ends_with("| yes |") == mendable);
    }
}

TEST_CASE("rules have names, codes and places in the order of their ids") {
    std::set<std::string> codes;
    for (std::size_t i = 0; i < all_rules().size(); ++i) {
        const Rule& rule = all_rules()[i];
        CHECK(static_cast<std::size_t>(rule.id) == i);
        CHECK(find_rule(rule.name) == &rule);
        CHECK(codes.insert(rule.code()).second);
    }
    CHECK(find_rule("StageNameCase") == nullptr);
    CHECK(rule_of(RuleId::stage_name_casing).code() == "check.stage-name-casing");
    CHECK(rule_of(RuleId::json_args_recommended).code() == "check.json-args-recommended");
    CHECK(rule_of(RuleId::undefined_arg_in_from).code() == "check.undefined-arg-in-from");
}
