// How the layers of a graph are read. Pure.
#pragma once

#include "builder/graph.hpp"

#include <vector>

namespace imgbuild::builder {

/// What somebody does with the layer that a node makes, the most demanding last.
enum class Reading {
    /// It is wanted as a part of the image, which is packed anyhow; what stands on it asks for names.
    packed,
    /// Files are copied out of it.
    copied,
    /// Commands run on it, or it is mounted.
    as_tree,
};

/// By node. `of_target` is what is done with the result: for outputs of files, and for joining layers.
std::vector<Reading> readings(const Graph& graph, NodeId target, Reading of_target);

}  // namespace imgbuild::builder
