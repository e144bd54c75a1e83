// Manifests (one image: a config and layers) and indexes (several manifests, by platform). Spec: image-spec
// manifest.md, image-index.md; docker's schema 2 forms are read as the same types. Both are read with limits, since
// they come from outside, and printed canonically (members sorted, no white space), since their digests are our
// product.
#pragma once

#include "oci/descriptor.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

/// Largest manifest or index that we read or that registries are asked to accept, in bytes.
inline constexpr std::size_t kMaxManifestBytes = 4U << 20;
/// More layers than any overlay can stack, even after flattening.
inline constexpr std::size_t kMaxLayers = 4096;
inline constexpr std::size_t kMaxIndexEntries = 4096;

struct Manifest {
    std::string media_type;
    /// Empty unless this is an artifact rather than an image.
    std::string artifact_type;
    Descriptor config;
    /// Lowest layer first.
    std::vector<Descriptor> layers;
    std::optional<Descriptor> subject;
    Annotations annotations;

    std::string to_json() const;
    friend bool operator==(const Manifest&, const Manifest&) = default;
};

struct Index {
    std::string media_type;
    std::string artifact_type;
    std::vector<Descriptor> manifests;
    std::optional<Descriptor> subject;
    Annotations annotations;

    std::string to_json() const;
    friend bool operator==(const Index&, const Index&) = default;
};

/// `media_type` is what the sender called it (descriptor or Content-Type); it must agree with the document's own, if
/// both are there, and stands in for it, if it has none. Empty: believe the document, or tell by its members.
/// Throws CorruptData ("corrupt.manifest", "corrupt.too-large"); docker's schema 1, which nobody should still serve, is
/// "corrupt.schema1" with a hint.
Manifest parse_manifest(std::string_view text, std::string_view media_type = {});
Index parse_index(std::string_view text, std::string_view media_type = {});

/// Is the document an index rather than a manifest? By `media_type` if it says so, else by its members. Throws
/// CorruptData for one that could be read as both: such documents mean different images to different readers.
bool document_is_index(std::string_view text, std::string_view media_type = {});

/// The entry to use for `wanted`: the first that equals it, else the best one that satisfies() it; attestations and
/// entries without a platform are passed over unless there is nothing else but one. Nothing if none fits.
std::optional<Descriptor> select_platform(const Index& index, const Platform& wanted);

/// "linux/amd64, linux/arm64", for messages.
std::string available_platforms(const Index& index);

}  // namespace imgbuild::oci
