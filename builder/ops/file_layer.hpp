// How a File op's placement becomes a layer: a tree for those who read its files, or at once the blob (DESIGN 1).
#pragma once

#include "builder/ops/placement.hpp"
#include "builder/ops/source_files.hpp"
#include "builder/work.hpp"
#include "layers/chain_view.hpp"
#include "layers/codec.hpp"
#include "layers/store.hpp"

#include <cstdint>

namespace imgbuild::builder {

struct FileLayer {
    const Placement& placement;
    const SourceFiles& files;
    /// What lies below, for the links on the way to an archive's files.
    const layers::ChainView& below;
    /// Bounds all times, seconds since 1970.
    std::int64_t time = 0;
    /// What it is published under.
    const layers::KeyRecord& key;
    layers::OnConflict on_conflict = layers::OnConflict::keep;
};

/// Both forms are the same layer. Throws Error ("source.changed"), IoError, CorruptData for bad archives, Cancelled.
layers::LayerId write_as_tree(const FileLayer& layer, unsigned threads, layers::Lease& lease, const Work& work);
/// The contents go from their source into the blob in one pass; no tree is made. Precondition: the placement has no
/// archives (has_archives()).
layers::LayerId write_as_blob(const FileLayer& layer, const layers::Codec& codec, unsigned threads,
                              layers::Lease& lease, const Work& work);

}  // namespace imgbuild::builder
