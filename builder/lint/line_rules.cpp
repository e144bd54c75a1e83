#include "builder/lint/line_rules.hpp"

#include "parser/reject.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

using parser::BuildFile;
using parser::Instruction;
using parser::Stage;

bool is_lower(std::string_view text) {
    return text == util::to_lower(text);
}

bool is_upper(std::string_view text) {
    return text == util::to_upper(text);
}

Finding casing_finding(RuleId rule, std::string detail, Span span, Span instruction, std::string right) {
    return {rule, std::move(detail), span, instruction, fmt::format("write {}", right), {{span, std::move(right)}}};
}

/// Empty lines between continued ones. What the parser says of them is only where they end.
Finding empty_continuation(const std::vector<std::string_view>& lines, char escape, const Diagnostic& warning) {
    Finding finding{
        RuleId::no_empty_continuation, "Empty continuation line", warning.span, warning.span, warning.hint, {}};
    // Upwards from the last line, which is the first behind the continuation: blank lines right above are the ones.
    for (std::uint32_t number = warning.span.line - 1; number > 1; --number) {
        const std::string_view line = util::trim(lines[number - 1]);
        if (line.empty()) {
            finding.span = {number, 1, number, 1};
            finding.fix = {{{number, 1, number + 1, 1}, {}}};
            break;
        }
        if (!line.starts_with('#') && !line.ends_with(escape)) {
            break;
        }
    }
    return finding;
}

class LineChecks {
public:
    LineChecks(const BuildFile& file, const CheckOptions& options, Findings& findings)
        : file_(file), options_(options), findings_(findings) {}

    void check(const Instruction& instruction);
    void check(const Stage& stage);

private:
    void check_comment(const std::vector<std::string>& comment, Span instruction);
    void check_description(std::string_view keyword, const std::vector<std::string>& names,
                           const std::vector<std::string>& comment, Span instruction, const CheckOptions& options);

    const BuildFile& file_;
    const CheckOptions& options_;
    Findings& findings_;
};

void LineChecks::check_comment(const std::vector<std::string>& comment, Span instruction) {
    for (const std::string& value : check_values(comment)) {
        std::string problem;
        try {
            const std::vector<std::string> unknown = CheckOptions::parse(value).unknown_names();
            if (unknown.empty()) {
                continue;
            }
            problem = fmt::format("there is no check {}", util::quote(unknown.front()));
        } catch (const Error& error) {
            problem = error.message();
        }
        findings_.add(options_, {RuleId::unknown_check,
                                 std::move(problem),
                                 instruction,
                                 instruction,
                                 "imgbuild lint --list-rules names all checks",
                                 {}});
    }
}

void LineChecks::check_description(std::string_view keyword, const std::vector<std::string>& names,
                                   const std::vector<std::string>& comment, Span instruction,
                                   const CheckOptions& options) {
    if (comment.empty() || names.empty()) {
        return;
    }
    const std::string first_word = comment.back().substr(0, comment.back().find(' '));
    if (std::find(names.begin(), names.end(), first_word) != names.end()) {
        return;
    }
    const std::string example = names.size() == 1 ? names.front() : "<arg_key>";
    findings_.add(options,
                  {RuleId::invalid_definition_description,
                   fmt::format("Comment for {} should follow the format: `# {} <description>`", keyword, example),
                   instruction,
                   instruction,
                   "a line with # alone between the comment and the instruction says that it is no description",
                   {}});
}

void LineChecks::check(const Instruction& instruction) {
    const CheckOptions options = options_.with_comment(instruction.previous_comment);
    check_comment(instruction.previous_comment, instruction.span);
    if (const auto* arg = std::get_if<parser::Arg>(&instruction.body)) {
        std::vector<std::string> names;
        for (const parser::Arg::Item& item : arg->items) {
            names.push_back(item.name.text);
        }
        check_description("ARG", names, instruction.previous_comment, instruction.span, options);
    }
    if (const auto* maintainer = std::get_if<parser::Maintainer>(&instruction.body)) {
        const bool upper = is_upper(instruction.keyword);
        std::string author;
        for (const char c : maintainer->author.text) {
            if (c == '"' || c == '$' || c == file_.escape) {
                author.push_back(file_.escape);
            }
            author.push_back(c);
        }
        const Span whole{instruction.keyword_span.line, instruction.keyword_span.column, instruction.arguments.end_line,
                         instruction.arguments.end_column};
        findings_.add(
            options,
            {RuleId::maintainer_deprecated,
             "Maintainer instruction is deprecated in favor of using label",
             instruction.keyword_span,
             instruction.span,
             "write LABEL org.opencontainers.image.authors=…",
             {{whole, fmt::format("{} org.opencontainers.image.authors=\"{}\"", upper ? "LABEL" : "label", author)}}});
    }
}

void LineChecks::check(const Stage& stage) {
    const CheckOptions options = options_.with_comment(stage.previous_comment);
    check_comment(stage.previous_comment, stage.span);
    if (!stage.from.name) {
        return;
    }
    const parser::Word& name = *stage.from.name;
    if (!is_lower(name.text)) {
        findings_.add(options, casing_finding(RuleId::stage_name_casing,
                                              fmt::format("Stage name '{}' should be lowercase", name.text), name.span,
                                              stage.span, util::to_lower(name.text)));
    }
    const parser::Word& as = *stage.from.as;
    const bool lower_from = is_lower(stage.keyword);
    // A FROM in mixed case is told by itself.
    if ((lower_from && !is_lower(as.text)) || (is_upper(stage.keyword) && !is_upper(as.text))) {
        findings_.add(options,
                      casing_finding(RuleId::from_as_casing,
                                     fmt::format("'{}' and '{}' keywords' casing do not match", as.text, stage.keyword),
                                     as.span, stage.span, lower_from ? "as" : "AS"));
    }
    check_description("FROM", {stage.name}, stage.previous_comment, stage.span, options);
}

/// Every instruction of the stages, FROM included: keyword, its place, the instruction, the comment above.
template <class Body>
void for_each_keyword(const BuildFile& file, const Body& body) {
    for (const Stage& stage : file.stages) {
        body(stage.keyword, stage.keyword_span, stage.span, stage.previous_comment);
        for (const Instruction& instruction : stage.instructions) {
            body(instruction.keyword, instruction.keyword_span, instruction.span, instruction.previous_comment);
        }
    }
}

void check_casing(const BuildFile& file, const CheckOptions& options, Findings& findings) {
    std::size_t lower = 0;
    std::size_t upper = 0;
    for_each_keyword(file, [&](const std::string& keyword, Span, Span, const std::vector<std::string>&) {
        lower += is_lower(keyword) ? 1 : 0;
        upper += is_upper(keyword) ? 1 : 0;
    });
    const bool want_lower = lower > upper;
    for_each_keyword(file, [&](const std::string& keyword, Span span, Span instruction,
                               const std::vector<std::string>& comment) {
        const std::string right = want_lower ? util::to_lower(keyword) : util::to_upper(keyword);
        if (keyword != right) {
            findings.add(options.with_comment(comment),
                         casing_finding(RuleId::consistent_instruction_casing,
                                        fmt::format("Command '{}' should match the case of the command majority ({})",
                                                    keyword, want_lower ? "lowercase" : "uppercase"),
                                        span, instruction, right));
        }
    });
}

void check_stage_names(const BuildFile& file, const CheckOptions& options, Findings& findings) {
    std::set<std::string, std::less<>> seen;
    for (const Stage& stage : file.stages) {
        if (stage.name.empty()) {
            continue;
        }
        const CheckOptions here = options.with_comment(stage.previous_comment);
        const Span span = stage.from.name->span;
        if (stage.name == "scratch" || stage.name == "context") {
            findings.add(here,
                         {RuleId::reserved_stage_name,
                          fmt::format("Stage name should not use the same name as reserved stage \"{}\"", stage.name),
                          span,
                          stage.span,
                          "choose another name",
                          {}});
        }
        if (!seen.insert(stage.name).second) {
            findings.add(here, {RuleId::duplicate_stage_name,
                                fmt::format("Duplicate stage name \"{}\", stage names should be unique", stage.name),
                                span,
                                stage.span,
                                "later stages that name it mean the last one above them",
                                {}});
        }
    }
}

}  // namespace

void check_lines(const BuildFile& file, const CheckOptions& options, std::uint32_t first_error, Findings& findings) {
    const std::vector<std::string_view> lines = util::split(file.source->text, '\n');
    for (const Diagnostic& warning : file.diagnostics) {
        if (warning.code == "parse.empty-continuation") {
            findings.add(options, empty_continuation(lines, file.escape, warning));
        }
    }
    const auto before_error = [first_error](Span span) { return first_error == 0 || span.line < first_error; };
    LineChecks checks(file, options, findings);
    const auto check_all = [&](const std::vector<Instruction>& instructions) {
        for (const Instruction& instruction : instructions) {
            if (before_error(instruction.span)) {
                checks.check(instruction);
            }
        }
    };
    check_all(file.global_args);
    for (const Stage& stage : file.stages) {
        if (before_error(stage.span)) {
            checks.check(stage);
        }
        check_all(stage.instructions);
    }
}

void check_file(const BuildFile& file, const CheckOptions& options, Findings& findings) {
    check_stage_names(file, options, findings);
    check_casing(file, options, findings);
}

}  // namespace imgbuild::builder
