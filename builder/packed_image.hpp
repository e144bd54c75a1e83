// An image with its blobs, as registries, layouts and archives take it.
#pragma once

#include "builder/image.hpp"
#include "layers/codec.hpp"
#include "oci/blobs.hpp"
#include "oci/manifest.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace imgbuild::builder {

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

/// How many blobs go to a registry beside each other. What other builders do as well; more gains nothing and annoys
/// registries.
inline constexpr unsigned kBlobsAtOnce = 4;

/// The blobs of all layers: a base image's as they came, ours by the codec. A base image's blob that a registry has and
/// the store has not is not fetched. If some are still to be packed, `into` (may be null) gets each blob as soon as it
/// is there, while others are packed. One that wants them in order gets only what stands up to the last large one that
/// is packed; these go there in the same pass, if it begins blobs.
std::vector<layers::BlobForm> pack_layers(const FileSystem& fs, LayerForms& forms, const Packing& packing,
                                          unsigned threads, const Work& work, oci::BlobSink* into = nullptr);
/// Does pack_layers() have to pack any?
bool has_to_pack(const FileSystem& fs, LayerForms& forms, const Packing& packing);
/// The manifest over pack_layers()'s blobs. What was not fetched is when the result's open_layer is asked for it: who
/// takes the image may have it. `forms` must outlive the result.
PackedImage list_blobs(const Image& image, std::vector<layers::BlobForm> blobs, LayerForms& forms,
                       const Packing& packing);
/// Both.
PackedImage pack_image(const Image& image, LayerForms& forms, const Packing& packing, unsigned threads,
                       const Work& work);

}  // namespace imgbuild::builder
