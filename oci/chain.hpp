// The name of a stack of layers. Spec: image-spec config.md §Layer ChainID.
#pragma once

#include <imgbuild/digest.hpp>

#include <span>
#include <vector>

namespace imgbuild::oci {

/// Of the layer `diff_id` on top of the stack `parent`.
ChainId chain_id(const ChainId& parent, const DiffId& diff_id);
/// Of a whole stack, lowest layer first. Precondition: not empty.
ChainId chain_id(std::span<const DiffId> diff_ids);
/// Of every prefix of the stack, lowest layer first; empty for an empty stack.
std::vector<ChainId> chain_ids(std::span<const DiffId> diff_ids);

}  // namespace imgbuild::oci
