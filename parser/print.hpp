// A tree as text again: what comes out reads as the same tree. Comments that belong to instructions stay; blank lines,
// the way lines were broken, and comments inside of instructions do not.
#pragma once

#include "parser/ast.hpp"

#include <string>

namespace imgbuild::parser {

/// Precondition: the tree was read without errors.
std::string print_ast(const Ast& ast);

}  // namespace imgbuild::parser
