// A build file surveyed with base images that are all the same: PATH, linux/amd64, working directory "/".
#pragma once

#include "builder/lint/survey.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder::testing {

inline SurveyOptions survey_options() {
    SurveyOptions options;
    options.build.target_platform = {.os = "linux", .architecture = "amd64", .variant = {}, .os_version = {}};
    options.build.build_platform = options.build.target_platform;
    options.image = [](const std::string&, const Platform&) -> std::optional<oci::ImageConfig> {
        oci::ImageConfig config;
        config.platform = {.os = "linux", .architecture = "amd64", .variant = {}, .os_version = {}};
        config.config.env = {"PATH=/bin"};
        return config;
    };
    return options;
}

inline Survey survey_text(const std::string& text, const SurveyOptions& options = survey_options()) {
    const auto source = std::make_shared<const SourceFile>(SourceFile{"Buildfile", text});
    return survey(parser::parse_file(source), options);
}

/// "RuleName:LINE" of each finding.
inline std::vector<std::string> found_in(const Survey& survey) {
    std::vector<std::string> result;
    for (const Finding& finding : survey.findings) {
        result.push_back(std::string(rule_of(finding.rule).name) + ":" + std::to_string(finding.instruction.line));
    }
    return result;
}

inline std::vector<std::string> found_in(const std::string& text, const SurveyOptions& options = survey_options()) {
    return found_in(survey_text(text, options));
}

/// The text with everything mended that can be, in as many rounds as it takes.
inline std::string mended(std::string text) {
    for (int round = 0; round < 20; ++round) {
        text = apply_fixes(text, survey_text(text).findings);
    }
    return text;
}

}  // namespace imgbuild::builder::testing
