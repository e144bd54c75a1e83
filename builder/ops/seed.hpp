// The first contents of a cache: a copy of a directory of another node's result.
#pragma once

#include "builder/layer_forms.hpp"

#include <string>

namespace imgbuild::builder {

/// Copies what lies in the directory `source` of `fs` into the empty directory `path` of ours, with owners, modes,
/// times and attributes. Throws Error ("source.not-found") if it is no directory.
void seed_directory(const FileSystem& fs, const std::string& source, const std::string& path, LayerForms& forms,
                    const Work& work);

}  // namespace imgbuild::builder
