#include "builder/lint/from_rules.hpp"

#include "oci/platform_parts.hpp"
#include "oci/reference_parts.hpp"
#include "parser/reject.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace imgbuild::builder {
namespace {

using parser::Stage;

constexpr std::array<std::string_view, 11> kPredefined = {
    "BUILDPLATFORM", "BUILDOS",         "BUILDOSVERSION", "BUILDARCH",     "BUILDVARIANT", "TARGETPLATFORM",
    "TARGETOS",      "TARGETOSVERSION", "TARGETARCH",     "TARGETVARIANT", "TARGETSTAGE"};

bool is_image_name(const std::string& text) {
    try {
        static_cast<void>(oci::parse_reference_normalized(text));
        return true;
    } catch (const UsageError&) {
        return false;
    }
}

/// The name of a stage in capitals is no name of an image, and other builders look for one.
Finding invalid_name(const parser::BuildFile& file, const Stage& stage) {
    const parser::Word& image = stage.from.image;
    Finding finding{RuleId::invalid_default_arg_in_from,
                    fmt::format("Default value for ARG {} results in empty or invalid base image name", image.text),
                    image.span,
                    stage.span,
                    "give the argument a default",
                    {}};
    const std::string lower = util::to_lower(image.text);
    if (std::any_of(file.stages.begin(), file.stages.end(), [&](const Stage& s) { return s.name == lower; })) {
        finding.hint = fmt::format("write {}", lower);
        finding.fix.push_back({image.span, lower});
    } else if (!image.text.contains('$')) {
        finding.hint = "names of images and stages are in small letters";
    }
    return finding;
}

class FromChecks {
public:
    FromChecks(const SurveyContext& context, const Stage& stage)
        : context_(context),
          stage_(stage),
          checks_(context.checks.with_comment(stage.previous_comment)),
          expander_(context.globals.environment(), context.file.escape) {}

    std::set<std::string> check() {
        const parser::Word& image = stage_.from.image;
        if (expand(image).text.empty()) {
            parser::reject("parse.empty-base", fmt::format("base name ({}) should not be blank", image.text),
                           "declare the ARG above the first FROM, with a default", image.span);
        }
        if (stage_.from.platform) {
            check_platform(*stage_.from.platform);
        }
        return std::move(used_);
    }

private:
    void report(RuleId rule, std::string detail, Span span, std::string hint, std::vector<Edit> fix = {}) {
        context_.findings.add(checks_, {rule, std::move(detail), span, stage_.span, std::move(hint), std::move(fix)});
    }

    parser::Expansion expand(const parser::Word& word) {
        parser::Expansion expansion = expander_.expand_with_uses(word.text, {context_.file.source, word.span});
        const std::set<std::string>& known = context_.global_names;
        for (const std::string& name : expansion.unmatched) {
            if (known.contains(name)) {
                continue;
            }
            const std::optional<std::string_view> near =
                nearest_of(name, std::vector<std::string_view>(known.begin(), known.end()));
            report(RuleId::undefined_arg_in_from,
                   fmt::format("FROM argument '{}' is not declared{}", name,
                               near ? fmt::format(" (did you mean {}?)", *near) : std::string()),
                   word.span, fmt::format("declare it above the first FROM with ARG {}", near ? *near : name));
        }
        used_.insert(expansion.matched.begin(), expansion.matched.end());
        return expansion;
    }

    void check_platform(const parser::Word& platform) {
        const parser::Expansion expansion = expand(platform);
        if (expansion.text.empty()) {
            parser::reject("parse.bad-value", fmt::format("empty platform value from expression {}", platform.text),
                           "leave --platform out, or give the argument a value", platform.span);
        }
        const bool constant = expansion.matched.empty() && expansion.unmatched.empty();
        if (constant) {
            check_constant(platform, expansion.text);
        } else if (expansion.unmatched.empty() && expansion.matched.size() == 1 &&
                   expansion.matched.contains("TARGETPLATFORM") &&
                   expansion.text == context_.globals.environment()("TARGETPLATFORM")) {
            report(RuleId::redundant_target_platform,
                   fmt::format("Setting platform to predefined {} in FROM is redundant as this is the default behavior",
                               platform.text),
                   platform.span, "leave --platform out", {without_flag(platform)});
        }
        try {
            static_cast<void>(oci::parse_platform_parts(expansion.text, context_.options.build.target_platform));
        } catch (Error& error) {
            error.locate({context_.file.source, platform.span});
            throw;
        }
    }

    /// From the flag to the name, so that no blank stays behind; there are no other flags.
    Edit without_flag(const parser::Word& platform) const {
        const Span& image = stage_.from.image.span;
        return {{platform.span.line, platform.span.column, image.line, image.column}, {}};
    }

    void check_constant(const parser::Word& platform, const std::string& text) {
        std::optional<oci::PlatformParts> parts;
        try {
            parts = oci::parse_platform_parts(text, context_.options.build.target_platform);
        } catch (const UsageError&) {
            return;  // told by who needs it
        }
        // A stage that is named after its platform is meant to be of it.
        if (stage_.name.contains(parts->os) || stage_.name.contains(parts->architecture)) {
            return;
        }
        report(RuleId::from_platform_flag_const_disallowed,
               fmt::format("FROM --platform flag should not use constant value \"{}\"", parser::shown(text)),
               platform.span, "write --platform=$BUILDPLATFORM, or leave it out and use --platform of the build");
    }

    const SurveyContext& context_;
    const Stage& stage_;
    CheckOptions checks_;
    parser::WordExpander expander_;
    std::set<std::string> used_;
};

}  // namespace

std::set<std::string> global_names(const parser::BuildFile& file) {
    std::set<std::string> names(kPredefined.begin(), kPredefined.end());
    for (const parser::Instruction& instruction : file.global_args) {
        if (const auto* arg = std::get_if<parser::Arg>(&instruction.body)) {
            for (const parser::Arg::Item& item : arg->items) {
                names.insert(item.name.text);
            }
        }
    }
    return names;
}

void check_default_names(const parser::BuildFile& file, const GlobalArguments& defaults, const CheckOptions& checks,
                         Findings& findings) {
    const parser::WordExpander expander(defaults.environment(), file.escape);
    for (const Stage& stage : file.stages) {
        const parser::Word& image = stage.from.image;
        if (is_image_name(expander.expand(image.text, {file.source, image.span}))) {
            continue;
        }
        findings.add(checks.with_comment(stage.previous_comment), invalid_name(file, stage));
    }
}

std::set<std::string> check_from(const SurveyContext& context, std::size_t index) {
    return FromChecks(context, context.file.stages[index]).check();
}

}  // namespace imgbuild::builder
