// Which layers of a graph are read as trees. Pure.
#pragma once

#include "builder/graph.hpp"

#include <vector>

namespace imgbuild::builder {

/// By node: do commands run on the layer that the node makes, or are files copied or mounted from it? The others are
/// wanted as parts of the image only, which is packed anyhow; what stands on them asks for names. `target_is_read`: the
/// result's files are wanted as well, as they are for outputs of files and for joining layers.
std::vector<bool> read_as_trees(const Graph& graph, NodeId target, bool target_is_read);

}  // namespace imgbuild::builder
