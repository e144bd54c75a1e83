// Checks of FROM lines: names and platforms, with the global arguments.
#pragma once

#include "builder/lint/stage_walk.hpp"

#include <cstddef>
#include <set>
#include <string>

namespace imgbuild::builder {

/// All names that FROM may use: predefined ones, and those of ARGs above the first FROM.
std::set<std::string> global_names(const parser::BuildFile& file);

/// Are the names after FROM valid without any --build-arg? `defaults` are the global arguments as they are then.
void check_default_names(const parser::BuildFile& file, const GlobalArguments& defaults, const CheckOptions& checks,
                         Findings& findings);

/// Checks one FROM; returns the global arguments that it uses. Throws Error with a place for a name or a platform that
/// cannot be.
std::set<std::string> check_from(const SurveyContext& context, std::size_t index);

}  // namespace imgbuild::builder
