// What the nodes of a graph are going to take: what their commands took the last time, or a guess.
//
// A command is recognised by what stays when sources change: its stage, its words, its working directory and the base
// image's repository. Neither its key nor its place in the stage does for that: a command that has to run is one whose
// key nobody knows, and lines are added above it.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>

#include "builder/graph.hpp"
#include "builder/scheduler.hpp"
#include "layers/store.hpp"

#include <optional>
#include <vector>

namespace imgbuild::builder {

/// Per node; nothing for what runs no command.
using StepNames = std::vector<std::optional<Digest>>;

/// Pure.
StepNames name_steps(const Graph& graph, const Platform& platform);

/// Commands that took less are not worth counting.
inline constexpr std::uint64_t kSmallMemory = std::uint64_t{64} << 20;

/// One per node. A command that was never seen counts for a second and for no memory; images and directories for
/// nothing.
std::vector<NodeCost> find_costs(const Graph& graph, const StepNames& names, layers::Store& store);

}  // namespace imgbuild::builder
