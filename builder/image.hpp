// From the result of a graph to an image: config, manifest, and the blobs that go with it.
#pragma once

#include "builder/file_system.hpp"
#include "builder/layer_forms.hpp"
#include "builder/work.hpp"
#include "layers/codec.hpp"
#include "oci/blobs.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// The image's own time (DESIGN 6) where nothing says another: that of the newest layer.
std::int64_t newest_time(const FileSystem& fs, std::optional<std::int64_t> limit);

/// A config with its diff ids and times. Its text is what the image id digests.
struct Image {
    Digest id;
    oci::ImageConfig config;
    std::string config_text;
    FileSystem fs;
    std::int64_t time = 0;
};

/// All of an image but what is known when its layers are packed.
struct ImageDraft {
    oci::ImageConfig config;
    FileSystem fs;
    std::int64_t time = 0;
};

/// Fills in diff ids and times. Layers without a diff id are packed to nowhere for it; so who wants blobs packs first.
Image finish_image(ImageDraft draft, LayerForms& forms, unsigned threads, const Work& work);

/// An image with the blobs that a registry or a layout needs.
struct PackedImage {
    oci::Manifest manifest;
    oci::Descriptor descriptor;
    std::string manifest_text;
    std::string config_text;
    /// Opens the content of a layer, by its number; the store need not have it yet. Called from several threads.
    std::function<std::unique_ptr<util::Source>(std::size_t layer, const Work& work)> open_layer = {};
};

/// What manifest and blobs follow from, besides the image.
struct Packing {
    layers::Codec codec;
    Recompress recompress = Recompress::no;
    /// Of the manifest, and of the descriptor that leads to it.
    oci::Annotations annotations = {};
    oci::Annotations descriptor_annotations = {};

    friend bool operator==(const Packing&, const Packing&) = default;
};

/// The blobs of all layers: a base image's as they came, ours by the codec. A base image's blob that a registry has and
/// the store has not is not fetched. If large ones are still to be packed and `into` begins blobs, they are written
/// there in the same pass, and in order all that send_image() would put before them.
std::vector<layers::BlobForm> pack_layers(const FileSystem& fs, LayerForms& forms, const Packing& packing,
                                          unsigned threads, const Work& work, oci::BlobSink* into = nullptr);
/// The manifest over pack_layers()'s blobs. What was not fetched is when the result's open_layer is asked for it: who
/// takes the image may have it. `forms` must outlive the result.
PackedImage list_blobs(const Image& image, std::vector<layers::BlobForm> blobs, LayerForms& forms,
                       const Packing& packing);
/// Both.
PackedImage pack_image(const Image& image, LayerForms& forms, const Packing& packing, unsigned threads,
                       const Work& work);

/// Layers and config, then the manifest with `tags`. What the sink has is left out. With `at_once` 1 in order, as
/// archives need it; else that many blobs beside each other. A registry that takes the blobs and then does not know
/// them is sent them again, a few times.
void send_image(const PackedImage& image, oci::BlobSink& sink, std::span<const std::string> tags, const Work& work,
                unsigned at_once = 1);

}  // namespace imgbuild::builder
