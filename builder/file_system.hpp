// The results of nodes: stacks of layers, each in whatever forms somebody has asked for so far (DESIGN 1).
#pragma once

#include <imgbuild/digest.hpp>

#include "layers/name_index.hpp"
#include "layers/store.hpp"
#include "oci/blobs.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// Where a layer of a base image can be fetched from.
struct RemoteLayer {
    oci::Descriptor blob;
    std::shared_ptr<oci::BlobSource> source;
    /// For progress and errors: the image's name.
    std::string image;
    /// Of a registry's layer: domain and path, for fetching it later. Empty for others.
    std::string repository = {};
};

/// A layer that the store knows only by where it is.
inline RemoteLayer remote_layer(const layers::RemoteForm& remote, std::shared_ptr<oci::BlobSource> source) {
    RemoteLayer out{
        .blob = {}, .source = std::move(source), .image = remote.repository, .repository = remote.repository};
    out.blob.media_type = remote.media_type;
    out.blob.digest = remote.blob.digest;
    out.blob.size = remote.blob.size;
    return out;
}

/// One layer. Shared by all file systems that it is part of; LayerForms changes its forms under `mutex`.
struct Layer {
    explicit Layer(Digest what) : identity(what) {}

    /// What keys see: the diff id of a base image's layer, the content key of one of ours. Equal identities, equal
    /// files, as far as commands are deterministic (docs/decisions/0006).
    const Digest identity;

    std::mutex mutex;
    /// In the store, with or without a tree.
    std::optional<layers::LayerId> id;
    /// Known to have one; its names are as the tree has them.
    bool has_tree = false;
    std::optional<DiffId> diff_id;
    std::optional<RemoteLayer> remote;
    std::shared_ptr<const layers::NameIndex> names;
};
using LayerPtr = std::shared_ptr<Layer>;

/// 1980-01-01: zip knows nothing earlier (DESIGN 6).
inline constexpr std::int64_t kEarliestLayerTime = 315532800;
/// Seconds between the times of a layer and the next one.
inline constexpr std::int64_t kLayerTimeStep = 256;

/// A stack of layers, oldest first. Cheap to copy.
struct FileSystem {
    std::vector<LayerPtr> layers;
    /// Of the image at the bottom: its creation time, and how many of the layers are its.
    std::int64_t base_time = kEarliestLayerTime;
    std::size_t base_layers = 0;

    /// The time that keys have for a layer on top of this; its low byte is still open. See layer_time().
    std::int64_t next_time() const {
        const auto position = static_cast<std::int64_t>(layers.size() - base_layers) + 1;
        return base_time + kLayerTimeStep * position;
    }
    FileSystem with(LayerPtr layer) const {
        FileSystem out = *this;
        out.layers.push_back(std::move(layer));
        return out;
    }
};

/// The bound of every time in a layer: later layers are newer, other contents have another time. `limit` is an explicit
/// SOURCE_DATE_EPOCH.
inline std::int64_t layer_time(std::int64_t next_time, const Digest& key, std::optional<std::int64_t> limit) {
    const std::int64_t time = next_time + key.bytes().back();
    return limit ? std::min(time, *limit) : time;
}

}  // namespace imgbuild::builder
