// Sending an image that the store has: `imgbuild push` and `imgbuild export`.
#pragma once

#include "builder/build.hpp"

namespace imgbuild::builder {

/// Packs what is not packed yet and writes `output`; `names` are the image's names there. Returns the manifest's
/// digest, or the image's id if only its files were asked for.
Digest send_stored_image(const layers::ImageRecord& image, const Output& output, const std::vector<Reference>& names,
                         const layers::Codec& codec, const Services& services, std::stop_token stop);

}  // namespace imgbuild::builder
