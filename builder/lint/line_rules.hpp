// Checks that need no variables: of single lines, and of the file as a whole.
#pragma once

#include "builder/lint/finding.hpp"
#include "parser/file.hpp"

#include <cstdint>

namespace imgbuild::builder {

/// What can be seen on lines alone. A file with errors is looked at up to the line before `first_error` (0: all of it).
void check_lines(const parser::BuildFile& file, const CheckOptions& options, std::uint32_t first_error,
                 Findings& findings);

/// Names of stages, and the case of instructions. Only for files without errors.
void check_file(const parser::BuildFile& file, const CheckOptions& options, Findings& findings);

}  // namespace imgbuild::builder
