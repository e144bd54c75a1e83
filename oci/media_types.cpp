#include "oci/media_types.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::oci {
namespace {

struct LayerType {
    std::string_view media_type;
    LayerCodec codec;
};

// The non-distributable kinds are obsolete, but images with them exist, and their bytes are layers like any other.
constexpr std::array kLayerTypes{
    LayerType{media_type::kLayerTar, LayerCodec::none},
    LayerType{media_type::kLayerGzip, LayerCodec::gzip},
    LayerType{media_type::kLayerZstd, LayerCodec::zstd},
    LayerType{media_type::kDockerLayerTar, LayerCodec::none},
    LayerType{media_type::kDockerLayerGzip, LayerCodec::gzip},
    LayerType{media_type::kDockerLayerZstd, LayerCodec::zstd},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar", LayerCodec::none},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LayerCodec::gzip},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LayerCodec::zstd},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar", LayerCodec::none},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LayerCodec::gzip},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar.zstd", LayerCodec::zstd},
};

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_restricted_name(std::string_view part) {
    constexpr std::string_view kOthers = "!#$&^_.+-";
    constexpr std::size_t kLongest = 127;
    return !part.empty() && part.size() <= kLongest && is_alphanumeric(part.front()) &&
           std::all_of(part.begin(), part.end(), [&](char c) { return is_alphanumeric(c) || kOthers.contains(c); });
}

}  // namespace

std::optional<LayerCodec> layer_codec(std::string_view media_type) {
    const auto found = std::find_if(kLayerTypes.begin(), kLayerTypes.end(),
                                    [&](const LayerType& type) { return type.media_type == media_type; });
    if (found == kLayerTypes.end()) return std::nullopt;
    return found->codec;
}

std::string_view layer_media_type(LayerCodec codec) {
    switch (codec) {
        case LayerCodec::none:
            return media_type::kLayerTar;
        case LayerCodec::gzip:
            return media_type::kLayerGzip;
        case LayerCodec::zstd:
            return media_type::kLayerZstd;
    }
    std::unreachable();
}

bool is_manifest(std::string_view media_type) {
    return media_type == media_type::kManifest || media_type == media_type::kDockerManifest;
}

bool is_index(std::string_view media_type) {
    return media_type == media_type::kIndex || media_type == media_type::kDockerManifestList;
}

bool is_schema1(std::string_view media_type) {
    return media_type == media_type::kDockerSchema1 || media_type == media_type::kDockerSchema1Signed;
}

bool is_image_config(std::string_view media_type) {
    return media_type == media_type::kConfig || media_type == media_type::kDockerConfig;
}

bool is_well_formed_media_type(std::string_view text) {
    const std::size_t slash = text.find('/');
    return slash != std::string_view::npos && is_restricted_name(text.substr(0, slash)) &&
           is_restricted_name(text.substr(slash + 1));
}

}  // namespace imgbuild::oci
