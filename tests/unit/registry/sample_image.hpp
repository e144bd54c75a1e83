// A small image for tests, complete with its blobs.
#pragma once

#include "oci/blobs.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"
#include "oci/media_types.hpp"
#include "util/bytes.hpp"

#include <span>
#include <string>
#include <vector>

namespace imgbuild::registry {

struct SampleImage {
    std::string layer;
    std::string config_bytes;
    std::string manifest_bytes;
    oci::Manifest manifest;
    oci::Descriptor descriptor;

    explicit SampleImage(std::string content = "a layer", const std::string& platform = "linux/amd64")
        : layer(std::move(content)) {
        oci::ImageConfig config;
        config.created = oci::Timestamp{.seconds = 1'000'000'000};
        config.platform = Platform::parse(platform);
        config.diff_ids = {DiffId(util::Sha256::of(layer))};
        config_bytes = config.to_json();
        manifest.media_type = oci::media_type::kManifest;
        manifest.config = oci::describe(oci::media_type::kConfig, config_bytes);
        manifest.layers = {oci::describe(oci::media_type::kLayerTar, layer)};
        manifest_bytes = manifest.to_json();
        descriptor = oci::describe(oci::media_type::kManifest, manifest_bytes);
    }

    const oci::Descriptor& layer_descriptor() const { return manifest.layers.front(); }

    void push_to(oci::BlobSink& sink, std::span<const std::string> tags) const {
        sink.put(layer_descriptor(), oci::open_text(layer), {});
        sink.put(manifest.config, oci::open_text(config_bytes), {});
        sink.put_manifest(descriptor, manifest_bytes, tags, {});
    }
};

}  // namespace imgbuild::registry
