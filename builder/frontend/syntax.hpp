// "# syntax=docker/dockerfile:1": which language a build file is written in.
//
// Other builders load that image and let it read the file. imgbuild reads the file itself, so it takes the names of the
// front end whose language it speaks, up to the version that it knows, and says no to any other.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/frontend/lower.hpp"
#include "parser/file.hpp"

#include <optional>
#include <string_view>

namespace imgbuild::builder {

/// The newest version of docker/dockerfile whose language we speak: 1.26.
inline constexpr unsigned kFrontendMajor = 1;
inline constexpr unsigned kFrontendMinor = 26;

/// What is wrong with the file's front end ("parse.unsupported-syntax"); nothing if it is ours. The build argument
/// BUILDKIT_SYNTAX takes the place of the file's line.
std::optional<Diagnostic> find_foreign_frontend(const parser::BuildFile& file, const LowerOptions& options);

}  // namespace imgbuild::builder
