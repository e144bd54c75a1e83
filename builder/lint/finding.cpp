#include "builder/lint/finding.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <utility>

namespace imgbuild::builder {
namespace {

/// A fix in bytes of the text.
struct Change {
    std::size_t begin;
    std::size_t end;
    std::string text;
};

std::vector<std::size_t> line_starts(const std::string& text) {
    std::vector<std::size_t> starts = {0};
    for (std::size_t newline = text.find('\n'); newline != std::string::npos; newline = text.find('\n', newline + 1)) {
        starts.push_back(newline + 1);
    }
    return starts;
}

/// The changes are in the order of the text and do not touch each other, so only its neighbours can be near.
bool touches_another(const std::map<std::size_t, Change>& changes, const Change& change) {
    const auto next = changes.lower_bound(change.begin);
    return (next != changes.end() && next->second.begin <= change.end) ||
           (next != changes.begin() && std::prev(next)->second.end >= change.begin);
}

}  // namespace

Diagnostic Finding::diagnostic() const {
    const Rule& which = rule_of(rule);
    return {Severity::warning, which.code(), std::string(which.name) + ": " + detail, hint, span};
}

void Findings::add(const CheckOptions& options, Finding finding) {
    const Rule& rule = rule_of(finding.rule);
    if (options.wants(rule) && (rule.origin == Rule::Origin::shared || own_rules_ == OwnRules::yes)) {
        findings_.push_back(std::move(finding));
    }
}

std::vector<Finding> Findings::take() {
    std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
        return std::pair(a.span.line, a.span.column) < std::pair(b.span.line, b.span.column);
    });
    return std::move(findings_);
}

std::string apply_fixes(const std::string& text, const std::vector<Finding>& findings) {
    const std::vector<std::size_t> starts = line_starts(text);
    const auto offset = [&](std::uint32_t line, std::uint32_t column) {
        return line > starts.size() ? text.size() : std::min(starts[line - 1] + column - 1, text.size());
    };
    std::map<std::size_t, Change> changes;
    for (const Finding& finding : findings) {
        std::vector<Change> wanted;
        for (const Edit& edit : finding.fix) {
            wanted.push_back({offset(edit.span.line, edit.span.column),
                              offset(edit.span.end_line, edit.span.end_column), edit.text});
        }
        if (std::none_of(wanted.begin(), wanted.end(),
                         [&changes](const Change& change) { return touches_another(changes, change); })) {
            for (Change& change : wanted) {
                changes.emplace(change.begin, std::move(change));
            }
        }
    }
    std::string result;
    std::size_t copied = 0;
    for (const auto& [begin, change] : changes) {
        result.append(text, copied, begin - copied);
        result += change.text;
        copied = change.end;
    }
    return result.append(text, copied);
}

}  // namespace imgbuild::builder
