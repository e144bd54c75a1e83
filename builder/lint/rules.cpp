#include "builder/lint/rules.hpp"

#include <algorithm>
#include <array>

namespace imgbuild::builder {
namespace {

using enum RuleId;

constexpr std::array<Rule, 25> kRules = {{
    {stage_name_casing, "StageNameCasing", "names of stages are in lower case"},
    {from_as_casing, "FromAsCasing", "AS is written in the case of FROM"},
    {no_empty_continuation, "NoEmptyContinuation", "no empty lines between continued ones"},
    {consistent_instruction_casing, "ConsistentInstructionCasing", "all instructions are written in one case"},
    {duplicate_stage_name, "DuplicateStageName", "no two stages have the same name"},
    {reserved_stage_name, "ReservedStageName", "no stage is called scratch or context"},
    {json_args_recommended, "JSONArgsRecommended", "CMD and ENTRYPOINT are lists, so that signals reach the program"},
    {maintainer_deprecated, "MaintainerDeprecated", "authors are told by a label"},
    {undefined_arg_in_from, "UndefinedArgInFrom", "FROM uses declared arguments only"},
    {workdir_relative_path, "WorkdirRelativePath", "the first WORKDIR is absolute"},
    {undefined_var, "UndefinedVar", "variables are declared before they are used"},
    {multiple_instructions_disallowed, "MultipleInstructionsDisallowed",
     "CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage"},
    {legacy_key_value_format, "LegacyKeyValueFormat", "ENV and LABEL are written with ="},
    {invalid_base_image_platform, "InvalidBaseImagePlatform", "a base image is of the platform that is built for"},
    {redundant_target_platform, "RedundantTargetPlatform", "FROM does not ask for the platform that it gets anyway"},
    {secrets_used_in_arg_or_env, "SecretsUsedInArgOrEnv", "secrets are no variables"},
    {invalid_default_arg_in_from, "InvalidDefaultArgInFrom", "FROM is a valid name without any --build-arg"},
    {from_platform_flag_const_disallowed, "FromPlatformFlagConstDisallowed", "FROM --platform is a variable"},
    {copy_ignored_file, "CopyIgnoredFile", "files that are copied are not ignored"},
    {invalid_definition_description, "InvalidDefinitionDescription",
     "a comment above ARG or FROM begins with the name that it describes", Rule::Origin::shared, true},
    {expose_proto_casing, "ExposeProtoCasing", "protocols of EXPOSE are in lower case"},
    {expose_invalid_format, "ExposeInvalidFormat", "EXPOSE has ports of the container only"},
    {heredoc_ignores_errors, "HeredocIgnoresErrors", "a script of several commands stops at the first that fails",
     Rule::Origin::ours},
    {metadata_only_layer, "MetadataOnlyLayer", "owners and modes are given where files are copied", Rule::Origin::ours},
    {unknown_check, "UnknownCheck", "check= comments name checks that there are", Rule::Origin::ours},
}};

}  // namespace

std::string Rule::code() const {
    std::string result = "check.";
    bool after_lower = false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const bool upper = name[i] >= 'A' && name[i] <= 'Z';
        const bool before_lower = i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z';
        // "JSONArgs" is json-args: a word begins at a capital behind a small letter, or before one.
        if (upper && i > 0 && (after_lower || before_lower)) {
            result.push_back('-');
        }
        result.push_back(static_cast<char>(upper ? name[i] - 'A' + 'a' : name[i]));
        after_lower = !upper;
    }
    return result;
}

std::string Rule::page() const {
    return "docs/lint/" + std::string(name) + ".md";
}

std::span<const Rule> all_rules() {
    return kRules;
}

const Rule& rule_of(RuleId id) {
    return kRules.at(static_cast<std::size_t>(id));
}

const Rule* find_rule(std::string_view name) {
    const auto* const found =
        std::find_if(kRules.begin(), kRules.end(), [name](const Rule& r) { return r.name == name; });
    return found == kRules.end() ? nullptr : &*found;
}

}  // namespace imgbuild::builder
