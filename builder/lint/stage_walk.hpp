// One stage, instruction by instruction, with the values that its variables have on the way.
#pragma once

#include "builder/frontend/arguments.hpp"
#include "builder/frontend/stage_names.hpp"
#include "builder/lint/survey.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

/// What all stages of a survey share. Everything outlives it.
struct SurveyContext {
    const parser::BuildFile& file;
    const SurveyOptions& options;
    const GlobalArguments& globals;
    const StageNames& names;
    const CheckOptions& checks;
    /// All names that FROM may use, set or not.
    const std::set<std::string>& global_names;
    Findings& findings;
};

/// What a stage itself takes from whoever builds: of arguments those that it declares, and the names of those that it
/// uses, which may be global ones.
struct StageFacts {
    std::map<std::string, ArgumentFact> arguments;
    std::set<std::string> used;
    std::map<std::string, MountFact> secrets;
    std::map<std::string, MountFact> agents;
};

/// Files that COPY or ADD put somewhere.
struct CopiedFiles {
    /// Absolute.
    std::string destination;
    std::uint32_t line = 0;
};

/// A stage at one point of its instructions; the next stage may begin with a copy of its end.
struct WalkedStage {
    /// ENV and ARG, of two with one name the later.
    std::map<std::string, std::string, std::less<>> variables;
    /// ARGs, with a value or without.
    std::set<std::string, std::less<>> declared;
    /// Of SHELL; empty: the default.
    std::vector<std::string> shell;
    /// Of ONBUILD, for the next stage.
    std::vector<std::string> triggers;
    std::string workdir = "/";
    /// The base's config is known: a variable that is not there is not set, and `workdir` is right.
    bool base_known = true;
    bool workdir_set = false;
    /// Anywhere in the stage, or inherited.
    bool has_entrypoint = false;
    std::vector<CopiedFiles> copied;
    StageFacts facts;
};

/// The name nearest to `name`, if there are not so many that looking for it would take long.
std::optional<std::string_view> nearest_of(std::string_view name, const std::vector<std::string_view>& candidates);

/// Carries `stage` from the state of its base to its end: triggers of the base first, told at FROM. Throws Error with
/// a place for what makes the stage impossible.
void walk_stage(const SurveyContext& context, std::size_t index, const std::vector<std::string>& triggers,
                WalkedStage& stage);

}  // namespace imgbuild::builder
