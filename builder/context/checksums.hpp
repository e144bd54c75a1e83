// Checksums of the user's files, remembered between builds by what stat() says of them (DESIGN 3).
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/context/source_tree.hpp"
#include "builder/work.hpp"
#include "layers/store.hpp"

#include <vector>

namespace imgbuild::builder {

/// The sha256 of the contents of `files` (regular files of `tree`), in their order. Only those are read that the store
/// does not remember, on `threads` threads. Throws IoError.
std::vector<Digest> content_checksums(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files,
                                      layers::Store& store, unsigned threads, const Work& work);

}  // namespace imgbuild::builder
