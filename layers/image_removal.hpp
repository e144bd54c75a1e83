// Taking images out of a store. Only the index speaks of them; their layers and blobs are cache, and stay for the
// clean-up.
#pragma once

#include "layers/store.hpp"

#include <string>

namespace imgbuild::layers {

/// The name (a normal form) goes, and its image with it if that was the last one. Returns false if there is no such
/// name. Throws Error ("store.…").
bool remove_name(const Store& store, const std::string& name);
/// The image goes with all its names. Returns false if there is none.
bool remove_image(const Store& store, const Digest& id);

}  // namespace imgbuild::layers
