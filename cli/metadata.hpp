// --metadata-file: what a build made, as JSON with the keys of docker buildx, so that CI tools find what they look for.
#pragma once

#include "builder/build.hpp"

#include <string>

namespace imgbuild::cli {

enum class MetadataWarnings { no, yes };

/// Pretty-printed, members sorted. Without a manifest (an image that only went to the store) the image's digest is its
/// id, as docker has it. `with_warnings`: also "buildx.build.warnings".
std::string metadata_json(const builder::BuildResult& result, MetadataWarnings with_warnings);

}  // namespace imgbuild::cli
