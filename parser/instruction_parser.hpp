// One line of the tree → one instruction.
#pragma once

#include <imgbuild/error.hpp>

#include "parser/arguments.hpp"
#include "parser/ast.hpp"
#include "parser/instructions.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// Throws Error for what makes the instruction unusable. What is wrong but leaves it readable (the codes of
/// is_late_problem()) goes into `problems`. FROM is no instruction of a stage and must not come here.
Instruction parse_instruction(const Node& node, Keyword keyword, char escape, std::vector<Diagnostic>& problems);

From parse_from(const Node& node, char escape);

/// Does the code name a mistake that can be seen while reading, but that other builders only see when the file is
/// built (or a trigger of it in a later build)? We refuse the file early.
bool is_late_problem(std::string_view code);

/// The text behind "NAME " in the comment above an instruction; empty if there is none.
std::string find_description(const std::vector<std::string>& comment, std::string_view name);

/// Throws Error "parse.unknown-instruction".
Keyword require_keyword(const Node& node);

}  // namespace imgbuild::parser
