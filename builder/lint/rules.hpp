// The checks of a build file: which there are, and what they are called.
//
// The first 22 are those of other builders, by the same names, so that "# check=skip=…" means the same everywhere; the
// rest is ours. A page of docs/lint/ tells of each.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace imgbuild::builder {

enum class RuleId {
    stage_name_casing,
    from_as_casing,
    no_empty_continuation,
    consistent_instruction_casing,
    duplicate_stage_name,
    reserved_stage_name,
    json_args_recommended,
    maintainer_deprecated,
    undefined_arg_in_from,
    workdir_relative_path,
    undefined_var,
    multiple_instructions_disallowed,
    legacy_key_value_format,
    invalid_base_image_platform,
    redundant_target_platform,
    secrets_used_in_arg_or_env,
    invalid_default_arg_in_from,
    from_platform_flag_const_disallowed,
    copy_ignored_file,
    invalid_definition_description,
    expose_proto_casing,
    expose_invalid_format,
    heredoc_ignores_errors,
    metadata_only_layer,
    unknown_check,
};

struct Rule {
    enum class Origin { shared, ours };

    RuleId id;
    /// "StageNameCasing"
    std::string_view name;
    /// What a file should be like, in one sentence.
    std::string_view summary;
    Origin origin = Origin::shared;
    /// Only reported where "# check=experimental=…" asks for it.
    bool experimental = false;

    /// The code of its warnings, the name in small letters: check.stage-name-casing.
    std::string code() const;
    /// "docs/lint/StageNameCasing.md"
    std::string page() const;
};

/// All of them, in the order of RuleId.
std::span<const Rule> all_rules();
const Rule& rule_of(RuleId id);
/// By its exact name; null for an unknown one.
const Rule* find_rule(std::string_view name);

}  // namespace imgbuild::builder
