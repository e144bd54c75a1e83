// What layouts in directories and in archives have in common: names of files, names of images. Spec: image-layout.md.
#pragma once

#include <imgbuild/digest.hpp>

#include "oci/descriptor.hpp"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

inline constexpr std::string_view kLayoutFile = "oci-layout";
inline constexpr std::string_view kIndexFile = "index.json";
inline constexpr std::string_view kBlobDirectory = "blobs/sha256";
inline constexpr std::string_view kLayoutMarker = R"({"imageLayoutVersion":"1.0.0"})";

inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kContainerdName = "io.containerd.image.name";

/// "blobs/sha256/<hex>"
std::string blob_file(const Digest& digest);

/// Throws CorruptData ("corrupt.oci-layout") unless `text` is the content of an "oci-layout" file of version 1.
void check_layout_marker(std::string_view text, std::string_view what);

/// An empty index.json, as JSON.
nlohmann::json empty_layout_index();

/// Lists `manifest` in an index.json under each of `names`, or without one if there are none. A name is a tag ("1.2")
/// or a whole normalised image name ("docker.io/library/app:1.2"), which is written as io.containerd.image.name and its
/// tag as org.opencontainers.image.ref.name, so that docker, containerd, skopeo and podman find the image. Entries that
/// had one of the names lose their place; entries and members that are not ours stay as they are.
void list_in_index(nlohmann::json& index, const oci::Descriptor& manifest, std::span<const std::string> names);

}  // namespace imgbuild::registry
