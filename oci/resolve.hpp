// From a name's document to the one image that a build will use.
#pragma once

#include "oci/blobs.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::oci {

/// An image whose small documents have been read and verified; its layers have not.
struct ResolvedImage {
    /// Digest and size of `manifest_bytes`; `platform` is that of the image.
    Descriptor manifest_descriptor;
    std::string manifest_bytes;
    Manifest manifest;
    std::string config_bytes;
    ImageConfig config;
    /// The index through which it was found, if there was one: what a pin of the name should record.
    std::optional<Descriptor> index_descriptor;
};

/// A document (a manifest or an index) as it came, with its descriptor.
struct Document {
    Descriptor descriptor;
    std::string bytes;
};

/// Reads `root`; if it is an index, takes its entry for `wanted` (an index inside an index is refused), and fetches
/// manifest and config from `source` through fetch_manifest() and fetch(). Checks that the config is an image's and
/// has as many diff ids as the manifest has layers. Throws CorruptData; RegistryError ("registry.no-such-platform")
/// with the platforms that there are.
///
/// `fetch_manifest` exists because registries keep manifests and blobs at different places.
ResolvedImage resolve_image(Document root, const Platform& wanted, BlobSource& source,
                            const std::function<std::string(const Descriptor&)>& fetch_manifest, std::stop_token stop);

}  // namespace imgbuild::oci
