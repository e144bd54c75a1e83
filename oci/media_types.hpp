// The media types of images, in both dialects. Spec: image-spec media-types.md; docker's schema 2 is older and
// means the same. Readers accept either; writers choose one dialect per image and stay in it.
#pragma once

#include <optional>
#include <string_view>

namespace imgbuild::oci {

namespace media_type {
inline constexpr std::string_view kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kEmpty = "application/vnd.oci.empty.v1+json";

inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerTar = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd";
inline constexpr std::string_view kDockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view kDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}  // namespace media_type

/// How a layer's tar is compressed.
enum class LayerCodec { none, gzip, zstd };

/// The codec that a layer's media type names, in either dialect and for the non-distributable kinds as well;
/// nothing if it is no layer of an image (an artifact's blob, for example).
std::optional<LayerCodec> layer_codec(std::string_view media_type);
/// The OCI media type of a layer that we make.
std::string_view layer_media_type(LayerCodec codec);

bool is_manifest(std::string_view media_type);
/// An index or docker's manifest list.
bool is_index(std::string_view media_type);
/// Docker's first manifest format, which nobody may use any more.
bool is_schema1(std::string_view media_type);
/// A config that is an image's (not an artifact's).
bool is_image_config(std::string_view media_type);

/// "type/subtype" as RFC 6838 allows it, each part at most 127 bytes.
bool is_well_formed_media_type(std::string_view text);

}  // namespace imgbuild::oci
