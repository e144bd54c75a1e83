// Our trees and instructions in the JSON of the conformance data. Only for `debug batch`.
#pragma once

#include "parser/ast.hpp"
#include "parser/file.hpp"

#include <nlohmann/json_fwd.hpp>

namespace imgbuild::cli {

/// {"dump", "escape", "tree", "warnings"}; throws Error for arguments that cannot be cut into words.
nlohmann::json ast_shape(const parser::Ast& ast);
/// {"meta_args", "stages"}
nlohmann::json file_shape(const parser::BuildFile& file);
/// [[2,2],[3,3]] for the lines 2 to 3.
nlohmann::json lines_shape(Span span);

}  // namespace imgbuild::cli
