// What checks found, for people, for programs, and for code review tools.
#pragma once

#include "cli/check_file.hpp"

#include <string>

namespace imgbuild::cli {

/// Each finding with its line and a hint, errors first where they stand first, and a last line that counts. Empty if
/// there is nothing to say.
std::string render_lint_text(const CheckedFile& checked);
/// One object; docs/cli/lint.md tells its members.
std::string render_lint_json(const CheckedFile& checked);
/// SARIF 2.1.0, with fixes.
std::string render_lint_sarif(const CheckedFile& checked);

/// In the format "text", "json" or "sarif".
std::string render_lint(const CheckedFile& checked, const std::string& format);
/// 0 for nothing found, that of checks for warnings, that of build files for errors.
int lint_exit_code(const CheckedFile& checked);

/// The names of all checks and what they want, a line each.
std::string render_rules();

}  // namespace imgbuild::cli
