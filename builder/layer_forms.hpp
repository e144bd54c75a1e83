// The moves between the forms of a layer (DESIGN 1): fetch (remote → blob), unpack (blob → tree), pack (tree → blob),
// and the patch layer of a chain. Each happens when somebody asks, at most once, in parallel with others, and is
// remembered in the store.
//
// Threads: all functions may be called from several threads; two that ask for the same form of one layer wait for each
// other. Errors: what the store, the source and the layer engine throw, with a frame that names the layer.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/file_system.hpp"
#include "builder/work.hpp"
#include "layers/chain_view.hpp"
#include "layers/codec.hpp"
#include "layers/layer_files.hpp"
#include "oci/blobs.hpp"
#include "util/rooted_dir.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

/// Whether a layer of a base image, which has a blob of its own, is compressed anew if the blob is of another kind than
/// the codec's.
enum class Recompress { no, yes };

/// The codec id of a blob that came from elsewhere.
inline constexpr std::string_view kPulledForm = "pulled";

/// What to say of a layer that has no form left.
Error layer_lost(const Layer& layer);

class LayerForms {
public:
    /// `lease` must outlive this. `threads` is for compression and for unpacking layers side by side.
    LayerForms(layers::Lease& lease, unsigned threads) : lease_(lease), threads_(threads) {}

    /// The tree in the store; fetched and unpacked if need be.
    layers::LayerId ensure_tree(Layer& layer, const Work& work);
    /// All trees of a file system, side by side.
    void ensure_trees(const FileSystem& fs, const Work& work);
    /// In the store in some form, from which all others can be made.
    void ensure_stored(const FileSystem& fs, const Work& work);
    std::shared_ptr<const layers::NameIndex> ensure_names(Layer& layer, const Work& work);
    /// Packs to nowhere if it is not known yet: no compression.
    DiffId ensure_diff_id(Layer& layer, const Work& work);
    /// The blob: a base image's as it came, one of ours packed by `codec`. One that is packed is written to `also` in
    /// the same pass, if that begins blobs.
    layers::BlobForm ensure_blob(Layer& layer, const layers::Codec& codec, const Work& work,
                                 Recompress recompress = Recompress::no, oci::BlobSink* also = nullptr);
    /// Is the blob still to be packed, out of at least that many bytes in files?
    bool has_to_pack(Layer& layer, const layers::Codec& codec, std::uint64_t least);

    /// The blob of a layer that a registry has and the store has in no form; nothing if the store has one, or there is
    /// nobody to fetch it from.
    std::optional<layers::BlobForm> find_remote_blob(Layer& layer);

    /// The very blob that an image's manifest names, verified against its descriptor. Nothing is remembered about which
    /// layer it holds.
    layers::BlobForm fetch(const RemoteLayer& remote, const Work& work);

    /// The merged names of a file system. Trees are made only of layers that have never been seen, since base images
    /// say their names only in their blobs.
    layers::ChainView names(const FileSystem& fs, const Work& work);
    /// The same for who reads the trees as well: all of them are made, and the names say what their inodes do not.
    layers::ChainView view(const FileSystem& fs, const Work& work);
    std::vector<util::RootedDir> trees(const FileSystem& fs, const Work& work);
    /// Trees are made of layers that have none, but for those that are there as plain tars.
    layers::ChainFiles files(const FileSystem& fs, const Work& work);
    /// Out of trees, all of which are made: regular files are whole ones.
    layers::ChainFiles files_of_trees(const FileSystem& fs, const Work& work);
    /// The tree that goes on top of the others so that an overlay of them shows what the layers mean (DESIGN 4);
    /// nothing if they do without.
    std::optional<layers::LayerId> ensure_patch(const FileSystem& fs, const layers::ChainView& view, const Work& work);

    layers::Lease& lease() { return lease_; }

private:
    void record_pulled(const layers::BlobForm& form, const DiffId& diff_id, const Work& work);
    void find_or_unpack(Layer& layer, const Work& work);
    void add_missing_tree(Layer& layer, const Work& work);
    void write_tar(Layer& layer, layers::TarStream& out, const Work& work);
    layers::LayerId unpack(const Layer& layer, const Work& work);
    layers::LayerId unpack_known(const DiffId& diff_id, const layers::BlobForm& form, const Work& work);
    layers::LayerId unpack_remote(const Layer& layer, const Work& work);
    layers::LayerId unpack_while_fetching(const RemoteLayer& remote, const DiffId& diff_id, const Work& work);
    layers::LayerId unpack_from(util::Source& blob, const DiffId& diff_id, const Work& work,
                                const std::function<void()>& before_publishing);
    std::shared_ptr<const layers::NameIndex> names_locked(Layer& layer);
    std::optional<layers::BlobForm> plain_form(Layer& layer);
    std::optional<layers::BlobForm> find_form(Layer& layer, const layers::Codec& codec);
    layers::BlobForm form_as_it_came(Layer& layer, const layers::Codec& codec, const Work& work, oci::BlobSink* also);
    layers::BlobForm recompress(const Layer& layer, const layers::BlobForm& form, const layers::Codec& codec,
                                const Work& work);
    layers::BlobForm pack(Layer& layer, const layers::Codec& codec, const Work& work, oci::BlobSink* also);

    layers::Lease& lease_;
    unsigned threads_;
};

}  // namespace imgbuild::builder
