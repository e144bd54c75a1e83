// Using the time in which registries are asked: checksums that a build is going to want.
#pragma once

#include "builder/context/source_tree.hpp"
#include "builder/graph.hpp"
#include "layers/store.hpp"

#include <stop_token>
#include <vector>

namespace imgbuild::builder {

/// Computes the checksums of what `reads` select of `tree` and has the store remember them, until it is done or asked
/// to stop. Errors end it and are not told: whoever wants the files meets them again, and has a place to tell.
void read_ahead(const SourceTree& tree, const std::vector<CopyFiles>& reads, layers::Store& store, unsigned threads,
                const std::stop_token& stop);

}  // namespace imgbuild::builder
