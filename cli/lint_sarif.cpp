// Findings as SARIF 2.1.0 (docs.oasis-open.org/sarif), which code review tools show beside the lines.

#include "cli/lint_report.hpp"
#include "util/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace imgbuild::cli {
namespace {

using builder::Finding;
using builder::Rule;
using nlohmann::json;

/// Turns our columns, which count bytes, into SARIF's, which count characters.
class Regions {
public:
    explicit Regions(const SourceFile& file) : lines_(util::split(file.text, '\n')) {}

    json region(const Span& span) const {
        return {{"startLine", span.line},
                {"startColumn", column(span.line, span.column)},
                {"endLine", std::max(span.end_line, span.line)},
                {"endColumn", column(span.end_line, span.end_column)}};
    }

private:
    std::size_t column(std::uint32_t line, std::uint32_t bytes) const {
        if (line == 0 || line > lines_.size()) return 1;
        const std::string_view before = lines_[line - 1].substr(0, bytes == 0 ? 0 : bytes - 1);
        return 1 + static_cast<std::size_t>(std::count_if(before.begin(), before.end(), [](char c) {
                   return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
               }));
    }

    std::vector<std::string_view> lines_;
};

class SarifReport {
public:
    explicit SarifReport(const CheckedFile& checked) : checked_(checked), regions_(*checked.source) {}

    json run() const {
        json results = json::array();
        for (const Diagnostic& error : checked_.errors()) results.push_back(result_of(error));
        for (const Finding& finding : checked_.survey.findings) results.push_back(result_of(finding));
        json driver{{"name", "imgbuild"}, {"version", IMGBUILD_VERSION}, {"rules", rules()}};
        return {{"tool", {{"driver", std::move(driver)}}},
                {"columnKind", "unicodeCodePoints"},
                {"results", std::move(results)}};
    }

private:
    static json rules() {
        json out = json::array();
        for (const Rule& rule : builder::all_rules()) {
            out.push_back({{"id", rule.name},
                           {"shortDescription", {{"text", rule.summary}}},
                           {"help", {{"text", "see " + rule.page()}}},
                           {"defaultConfiguration", {{"level", "warning"}, {"enabled", !rule.experimental}}}});
        }
        return out;
    }

    /// Relative to where the command was given, as code review tools want it.
    json artifact() const {
        const std::string& name = checked_.source->name;
        return {{"uri", name.starts_with("./") ? name.substr(2) : name}};
    }

    json location(const Span& span) const {
        json physical{{"artifactLocation", artifact()}};
        if (span) physical["region"] = regions_.region(span);
        return {{"physicalLocation", std::move(physical)}};
    }

    json result_of(const Diagnostic& error) const {
        return {{"ruleId", error.code},
                {"level", "error"},
                {"message", {{"text", error.hint.empty() ? error.message : error.message + ": " + error.hint}}},
                {"locations", json::array({location(error.span)})}};
    }

    json result_of(const Finding& finding) const {
        json out{{"ruleId", rule_of(finding.rule).name},
                 {"ruleIndex", static_cast<std::size_t>(finding.rule)},
                 {"level", "warning"},
                 {"message", {{"text", finding.hint.empty() ? finding.detail : finding.detail + ": " + finding.hint}}},
                 {"locations", json::array({location(finding.span)})}};
        if (!finding.fix.empty()) out["fixes"] = json::array({fix_of(finding)});
        return out;
    }

    json fix_of(const Finding& finding) const {
        json replacements = json::array();
        for (const builder::Edit& edit : finding.fix) {
            replacements.push_back(
                {{"deletedRegion", regions_.region(edit.span)}, {"insertedContent", {{"text", edit.text}}}});
        }
        json change{{"artifactLocation", artifact()}, {"replacements", std::move(replacements)}};
        return {{"description", {{"text", finding.hint}}}, {"artifactChanges", json::array({std::move(change)})}};
    }

    const CheckedFile& checked_;
    Regions regions_;
};

}  // namespace

std::string render_lint_sarif(const CheckedFile& checked) {
    const json report{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                      {"version", "2.1.0"},
                      {"runs", json::array({SarifReport(checked).run()})}};
    return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace imgbuild::cli
