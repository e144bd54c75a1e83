// "# name = value" lines at the top of a file.
#pragma once

#include "parser/ast.hpp"

#include <optional>
#include <string_view>

namespace imgbuild::parser {

/// One line, without its newline and leading blanks, as a directive behind `marker` ("#" or "//"); nothing if it has
/// another form. Whether the name is known is not asked. The span is left to the caller.
std::optional<Directive> match_directive(std::string_view line, std::string_view marker);

/// "syntax", "escape" or "check".
bool is_known_directive(std::string_view name);

}  // namespace imgbuild::parser
