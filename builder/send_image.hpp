// Putting a packed image where it is wanted.
#pragma once

#include "builder/packed_image.hpp"

#include <span>
#include <string>

namespace imgbuild::builder {

/// Layers and config, then the manifest with `tags`. What the sink has is left out. With `at_once` 1 in order, as
/// archives need it; else that many blobs beside each other. A registry that takes the blobs and then does not know
/// them is sent them again, a few times.
void send_image(const PackedImage& image, oci::BlobSink& sink, std::span<const std::string> tags, const Work& work,
                unsigned at_once = 1);

}  // namespace imgbuild::builder
