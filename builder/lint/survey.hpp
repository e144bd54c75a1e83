// A build file looked at as a whole, without building anything: what checks find in it, and what a build would take.
//
// The stages are walked as a build walks them, with the values that ARG and ENV have at each instruction; commands are
// not run, so what only they know is not known here. Whoever asks may say what base images hold; variables of bases
// that nobody knows count as set, and words with them as unknown.
//
// What makes the walk impossible (an empty name after FROM, a signal that does not exist) ends it: it is told as
// `error`, with what was found before.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/frontend/lower.hpp"
#include "builder/lint/finding.hpp"
#include "oci/image_config.hpp"
#include "parser/file.hpp"
#include "parser/ignore.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

/// The config of an outside image, nothing if it is not known. May throw what resolving images throws.
using KnownImage = std::function<std::optional<oci::ImageConfig>(const std::string& name, const Platform& platform)>;

struct SurveyOptions {
    enum class Stages { all, needed };

    LowerOptions build;
    /// All stages of the file, or those that the target needs. A target that was asked for makes it the latter.
    Stages stages = Stages::all;
    KnownImage image;
    /// Null: nothing is ignored.
    const parser::IgnoreMatcher* ignore = nullptr;
    Findings::OwnRules own_rules = Findings::OwnRules::yes;
};

/// An ARG with its value here; `line` is that of its instruction.
struct ArgumentFact {
    std::string name;
    std::string description;
    std::string value;
    std::uint32_t line = 0;
};

/// A secret or an ssh agent that a RUN mounts.
struct MountFact {
    std::string id;
    bool required = false;
    std::uint32_t line = 0;
};

/// What a stage and the stages below it take from whoever builds.
struct TargetFacts {
    /// In the order of their lines.
    std::vector<ArgumentFact> arguments;
    std::vector<MountFact> secrets;
    std::vector<MountFact> agents;
};

struct Survey {
    std::vector<Finding> findings;
    /// What ended the walk. The file's own errors are in its diagnostics and not here.
    std::optional<Diagnostic> error;
    /// "# check=error=true": findings fail a build.
    bool findings_are_errors = false;
    /// Outside images that were needed and not known, each once, in order.
    std::vector<std::string> unknown_images;
    /// Index of the stage that would be built.
    std::size_t target = 0;
    TargetFacts facts;

    /// Throws Error "check.failed" if findings are errors and there are any.
    void require_clean(const parser::BuildFile& file) const;
};

/// Throws only what `options.image` throws, and Error "usage.unknown-target".
Survey survey(const parser::BuildFile& file, const SurveyOptions& options);

}  // namespace imgbuild::builder
