// What a build of a file would take, and which stages it has, for people and for programs.
#pragma once

#include "cli/check_file.hpp"

#include <string>

namespace imgbuild::cli {

/// Arguments with values and descriptions, secrets and ssh agents that the target takes.
std::string render_outline_text(const CheckedFile& checked);
std::string render_outline_json(const CheckedFile& checked);
/// The stages with their bases and descriptions.
std::string render_targets_text(const parser::BuildFile& file);
std::string render_targets_json(const parser::BuildFile& file);

}  // namespace imgbuild::cli
