// Our trees, instructions and names in the JSON of the conformance data. Only for `debug batch`.
#pragma once

#include <imgbuild/platform.hpp>

#include "builder/lint/survey.hpp"
#include "parser/ast.hpp"
#include "parser/file.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string_view>
#include <vector>

namespace imgbuild::cli {

/// {"dump", "escape", "tree", "warnings"}; throws Error for arguments that cannot be cut into words.
nlohmann::json ast_shape(const parser::Ast& ast);
/// {"meta_args", "stages"}
nlohmann::json file_shape(const parser::BuildFile& file);
/// [{"rule", "line", "lines", "detail"}, …]
nlohmann::json findings_shape(const std::vector<builder::Finding>& findings);
/// {"name", "description", "args", "secrets", "ssh"} of the survey's target
nlohmann::json outline_shape(const parser::BuildFile& file, const builder::Survey& survey);
/// [{"name", "description", "base", "platform", "line", "default"}, …]
nlohmann::json targets_shape(const parser::BuildFile& file);
/// [[2,2],[3,3]] for the lines 2 to 3.
nlohmann::json lines_shape(Span span);

/// {"parse", "normalized"}: the strict reading of an image name and docker's; each may be {"error"}.
nlohmann::json reference_shape(std::string_view text);
/// {"platform", "format", "format_all", "normalized"}; throws UsageError. `host` completes what is left out.
nlohmann::json platform_shape(std::string_view text, const Platform& host);

/// The parts of a git reference, null if it is none; throws Error for contradicting options.
nlohmann::json git_reference_shape(std::string_view text);

}  // namespace imgbuild::cli
