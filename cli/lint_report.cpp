#include "cli/lint_report.hpp"

#include "cli/exit_code.hpp"
#include "cli/print_error.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace imgbuild::cli {
namespace {

using builder::Finding;
using builder::Rule;
using nlohmann::json;

std::string counted(std::size_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string entry(const CheckedFile& checked, const std::vector<std::string_view>& lines, std::string_view kind,
                  const std::string& message, const std::string& name, const std::string& hint, const Span& span) {
    std::string out = span ? fmt::format("{}:{}:{}: ", checked.source->name, span.line, span.column)
                           : fmt::format("{}: ", checked.source->name);
    out += fmt::format("{}: {} [{}]\n", kind, message, name);
    out += render_line(lines, span);
    return hint.empty() ? out : out + fmt::format("  hint: {}\n", hint);
}

json span_json(const Span& span) {
    return {{"line", span.line}, {"column", span.column}, {"end_line", span.end_line}, {"end_column", span.end_column}};
}

json finding_json(const Finding& finding) {
    const Rule& rule = rule_of(finding.rule);
    json lines = json::array();
    for (std::uint32_t line = finding.instruction.line; line <= finding.instruction.end_line; ++line) {
        lines.push_back({line, line});
    }
    json edits = json::array();
    for (const builder::Edit& edit : finding.fix) {
        edits.push_back({{"span", span_json(edit.span)}, {"text", edit.text}});
    }
    json out{{"rule", rule.name},         {"code", rule.code()},
             {"page", rule.page()},       {"line", finding.instruction.line},
             {"lines", std::move(lines)}, {"span", span_json(finding.span)},
             {"detail", finding.detail}};
    if (!finding.hint.empty()) out["hint"] = finding.hint;
    if (!edits.empty()) out["fix"] = std::move(edits);
    return out;
}

json error_json(const Diagnostic& error) {
    json out{{"code", error.code}, {"message", error.message}};
    if (error.span) {
        out["line"] = error.span.line;
        out["span"] = span_json(error.span);
    }
    if (!error.hint.empty()) out["hint"] = error.hint;
    return out;
}

std::string dump(const json& value) {
    return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string render_lint_text(const CheckedFile& checked) {
    const std::vector<Diagnostic> errors = checked.errors();
    const std::vector<std::string_view> lines = util::split(checked.source->text, '\n');
    std::string out;
    for (const Diagnostic& error : errors) {
        out += entry(checked, lines, "error", error.message, error.code, error.hint, error.span);
    }
    for (const Finding& finding : checked.survey.findings) {
        out += entry(checked, lines, "warning", finding.detail, std::string(rule_of(finding.rule).name), finding.hint,
                     finding.span);
    }
    const std::size_t mendable =
        static_cast<std::size_t>(std::count_if(checked.survey.findings.begin(), checked.survey.findings.end(),
                                               [](const Finding& finding) { return !finding.fix.empty(); }));
    if (!errors.empty()) out += counted(errors.size(), "error");
    if (!checked.survey.findings.empty()) {
        out += (errors.empty() ? "" : ", ") + counted(checked.survey.findings.size(), "warning");
    }
    if (mendable > 0) out += fmt::format("; imgbuild lint --fix mends {}", mendable);
    return out.empty() ? out : out + "\n";
}

std::string render_lint_json(const CheckedFile& checked) {
    json warnings = json::array();
    for (const Finding& finding : checked.survey.findings) warnings.push_back(finding_json(finding));
    json errors = json::array();
    for (const Diagnostic& error : checked.errors()) errors.push_back(error_json(error));
    return dump({{"v", 1},
                 {"file", checked.source->name},
                 {"warnings", std::move(warnings)},
                 {"errors", std::move(errors)},
                 {"warnings_are_errors", checked.survey.findings_are_errors},
                 {"unknown_images", checked.survey.unknown_images}});
}

std::string render_lint(const CheckedFile& checked, const std::string& format) {
    return format == "json"    ? render_lint_json(checked)
           : format == "sarif" ? render_lint_sarif(checked)
                               : render_lint_text(checked);
}

int lint_exit_code(const CheckedFile& checked) {
    if (!checked.errors().empty()) return kUsage;
    return checked.survey.findings.empty() ? kOk : kCheckFailed;
}

std::string render_rules() {
    std::string out;
    for (const Rule& rule : builder::all_rules()) {
        out += fmt::format("{:32} {}{}\n", rule.name, rule.summary, rule.experimental ? " (experimental)" : "");
    }
    return out;
}

}  // namespace imgbuild::cli
