// What a check found, and the list of them.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/lint/check_options.hpp"
#include "builder/lint/rules.hpp"

#include <string>
#include <vector>

namespace imgbuild::builder {

/// Puts `text` in the place of a stretch of the file. An empty stretch inserts.
struct Edit {
    Span span;
    std::string text;
};

struct Finding {
    RuleId rule = RuleId::stage_name_casing;
    /// What is wrong here, in one sentence.
    std::string detail;
    /// The words that are wrong.
    Span span;
    /// The instruction that they stand in: its first line is the one by which other builders tell the place.
    Span instruction;
    std::string hint;
    /// Mends it without changing what the file means. Empty: only people can.
    std::vector<Edit> fix;

    /// As a warning with the rule's code.
    Diagnostic diagnostic() const;
};

/// Keeps the findings that the options want.
class Findings {
public:
    enum class OwnRules { no, yes };
    explicit Findings(OwnRules own_rules) : own_rules_(own_rules) {}

    void add(const CheckOptions& options, Finding finding);
    /// In the order of the file.
    std::vector<Finding> take();

private:
    OwnRules own_rules_;
    std::vector<Finding> findings_;
};

/// The file's text with all fixes of the findings; of two that touch the same bytes only the first is made, so that
/// the caller looks at the result once more.
std::string apply_fixes(const std::string& text, const std::vector<Finding>& findings);

}  // namespace imgbuild::builder
