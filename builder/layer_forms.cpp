#include "builder/layer_forms.hpp"

#include <imgbuild/error.hpp>

#include "builder/parallel.hpp"
#include "layers/block_table.hpp"
#include "layers/decompress.hpp"
#include "layers/pack.hpp"
#include "layers/patch.hpp"
#include "layers/tree_writer.hpp"
#include "oci/media_types.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

class Both final : public util::Sink {
public:
    /// `second` may be null.
    Both(util::Sink& first, util::Sink* second) : first_(first), second_(second) {}
    void write(std::span<const std::byte> bytes) override {
        first_.write(bytes);
        if (second_ != nullptr) second_->write(bytes);
    }

private:
    util::Sink& first_;
    util::Sink* second_;
};

oci::Descriptor descriptor_of(const layers::BlobInfo& blob, const layers::Codec& codec) {
    oci::Descriptor out;
    out.media_type = codec.media_type();
    out.digest = blob.digest;
    out.size = blob.size;
    return out;
}

}  // namespace

void LayerForms::find_or_unpack(Layer& layer, const Work& work) {
    if (layer.id) return;
    if (!layer.diff_id) throw layer_lost(layer);
    layer.id = lease_.find_layer(*layer.diff_id);
    if (!layer.id) layer.id = unpack(layer, work);
}

layers::LayerId LayerForms::ensure_tree(Layer& layer, const Work& work) {
    const std::lock_guard lock(layer.mutex);
    find_or_unpack(layer, work);
    if (!layer.has_tree) {
        // If they were read, there was no tree, and they do not say what its inodes lack; whoever made it.
        layer.names.reset();
        if (!lease_.has_tree(*layer.id)) add_missing_tree(layer, work);
        layer.has_tree = true;
    }
    return *layer.id;
}

void LayerForms::ensure_trees(const FileSystem& fs, const Work& work) {
    in_parallel(fs.layers.size(), threads_, work.stop, [&](std::size_t i, std::stop_token stop) {
        const Work part = work.with(std::move(stop));
        static_cast<void>(ensure_tree(*fs.layers[i], part));
    });
}

void LayerForms::ensure_stored(const FileSystem& fs, const Work& work) {
    in_parallel(fs.layers.size(), threads_, work.stop, [&](std::size_t i, std::stop_token stop) {
        const Work part = work.with(std::move(stop));
        const std::lock_guard lock(fs.layers[i]->mutex);
        find_or_unpack(*fs.layers[i], part);
    });
}

std::shared_ptr<const layers::NameIndex> LayerForms::names_locked(Layer& layer) {
    if (!layer.names) {
        // Before they are read: a tree may come at any time, and brings its own.
        layer.has_tree = layer.has_tree || lease_.has_tree(*layer.id);
        const std::string bytes = lease_.read_names(*layer.id);
        layer.names = std::make_shared<const layers::NameIndex>(layers::NameIndex::parse(bytes));
    }
    return layer.names;
}

std::shared_ptr<const layers::NameIndex> LayerForms::ensure_names(Layer& layer, const Work& work) {
    const std::lock_guard lock(layer.mutex);
    find_or_unpack(layer, work);
    return names_locked(layer);
}

DiffId LayerForms::ensure_diff_id(Layer& layer, const Work& work) {
    const std::lock_guard lock(layer.mutex);
    if (layer.diff_id) return *layer.diff_id;
    find_or_unpack(layer, work);
    layer.diff_id = lease_.facts(*layer.id).diff_id;
    if (layer.diff_id) return *layer.diff_id;
    layers::Packer packer({.kind = layers::Codec::Kind::none}, nullptr, threads_);
    write_tar(layer, packer.stream(), work);
    const layers::PackResult result = packer.finish();
    lease_.set_diff_id(*layer.id, result.diff_id, result.tar_size);
    layer.diff_id = result.diff_id;
    return result.diff_id;
}

void LayerForms::write_tar(Layer& layer, layers::TarStream& out, const Work& work) {
    if (layer.has_tree || lease_.has_tree(*layer.id)) {
        const util::RootedDir tree = util::RootedDir::open(lease_.tree_path(*layer.id));
        return layers::write_layer_tar(*names_locked(layer), tree, out, work.stop);
    }
    const auto form = lease_.find_form(lease_.facts(*layer.id).diff_id.value(), "");
    if (!form) throw layer_lost(layer);
    const auto blob = lease_.open_blob(form->blob);
    layers::write_layer_tar(*names_locked(layer), *blob, out, work.stop);
}

layers::BlobForm LayerForms::pack(Layer& layer, const layers::Codec& codec, const Work& work, oci::BlobSink* also) {
    layers::BlobWriter writer = lease_.begin_hashed_blob();
    const std::unique_ptr<oci::NamelessBlob> copy = also == nullptr ? nullptr : also->begin_blob();
    Both both(writer, copy.get());
    layers::BlockTable blocks(lease_, codec);
    layers::Packer packer(codec, &both, threads_, &blocks);
    write_tar(layer, packer.stream(), work);
    const layers::PackResult result = packer.finish();
    if (layer.diff_id && *layer.diff_id != result.diff_id) {
        throw CorruptData(fmt::format("the tree of layer {}", layer.identity.brief()), layer.diff_id->text(),
                          result.diff_id.text());
    }
    const layers::BlobInfo blob =
        writer.commit(layers::BlobInfo{.digest = result.blob.value().digest, .size = result.blob.value().size});
    blocks.record(blob);
    if (copy) copy->keep(descriptor_of(blob, codec));
    layer.diff_id = result.diff_id;
    lease_.set_diff_id(*layer.id, result.diff_id, result.tar_size);
    layers::BlobForm form{.blob = blob, .media_type = std::string(codec.media_type()), .codec_id = codec.codec_id()};
    lease_.record_form(result.diff_id, form);
    return form;
}

// The same tar in another compression. Its entries are not looked at, so the blocks end elsewhere than in what pack()
// makes; hence a codec id of its own.
layers::BlobForm LayerForms::recompress(const Layer& layer, const layers::BlobForm& form, const layers::Codec& codec,
                                        const Work& work) {
    const std::string codec_id = codec.codec_id() + "/stream";
    if (const auto known = lease_.find_form(*layer.diff_id, codec_id)) return *known;
    return in_context(fmt::format("compressing layer {} anew", layer.diff_id->digest().brief()), [&] {
        const auto blob = lease_.open_blob(form.blob);
        const auto tar = layers::open_layer_blob(*blob);
        layers::BlobWriter writer = lease_.begin_hashed_blob();
        layers::BlockTable blocks(lease_, codec);
        layers::Packer packer(codec, &writer, threads_, &blocks);
        std::vector<std::byte> buffer(256U << 10);
        while (const std::size_t n = tar->read(buffer)) {
            if (work.stop.stop_requested()) throw Cancelled();
            packer.stream().write(std::span(buffer).first(n));
        }
        const layers::PackResult result = packer.finish();
        if (result.diff_id != *layer.diff_id) {
            throw CorruptData("the layer's tar", layer.diff_id->text(), result.diff_id.text());
        }
        const layers::BlobInfo info =
            writer.commit(layers::BlobInfo{.digest = result.blob.value().digest, .size = result.blob.value().size});
        blocks.record(info);
        layers::BlobForm out{.blob = info, .media_type = std::string(codec.media_type()), .codec_id = codec_id};
        lease_.record_form(result.diff_id, out);
        return out;
    });
}

layers::BlobForm LayerForms::ensure_blob(Layer& layer, const layers::Codec& codec, const Work& work, Recompress anew,
                                         oci::BlobSink* also) {
    const std::lock_guard lock(layer.mutex);
    const layers::BlobForm form = form_as_it_came(layer, codec, work, also);
    const bool other = oci::layer_codec(form.media_type) != oci::layer_codec(codec.media_type());
    return anew == Recompress::yes && other ? recompress(layer, form, codec, work) : form;
}

bool LayerForms::has_to_pack(Layer& layer, const layers::Codec& codec, std::uint64_t least) {
    const std::lock_guard lock(layer.mutex);
    if (find_form(layer, codec) || layer.remote || !layer.id) return false;
    std::uint64_t bytes = 0;
    for (const layers::Entry& entry : names_locked(layer)->entries()) bytes += entry.size;
    return bytes >= least;
}

// That the store has. Sets what is found on the way.
std::optional<layers::BlobForm> LayerForms::find_form(Layer& layer, const layers::Codec& codec) {
    if (layer.diff_id) {
        // What came from a registry stays as it is, whatever codec we would take.
        if (auto pulled = lease_.find_form(*layer.diff_id, kPulledForm)) return pulled;
        if (layer.remote) return std::nullopt;
    }
    if (!layer.id && layer.diff_id) layer.id = lease_.find_layer(*layer.diff_id);
    if (!layer.diff_id && layer.id) layer.diff_id = lease_.facts(*layer.id).diff_id;
    return layer.diff_id ? lease_.find_form(*layer.diff_id, codec.codec_id()) : std::nullopt;
}

layers::BlobForm LayerForms::form_as_it_came(Layer& layer, const layers::Codec& codec, const Work& work,
                                             oci::BlobSink* also) {
    if (const auto known = find_form(layer, codec)) return *known;
    if (layer.remote && layer.diff_id) {
        layers::BlobForm form = fetch(*layer.remote, work);
        record_pulled(form, *layer.diff_id, work);
        return form;
    }
    if (!layer.id) throw layer_lost(layer);
    return pack(layer, codec, work, also);
}

layers::ChainView LayerForms::names(const FileSystem& fs, const Work& work) {
    ensure_stored(fs, work);
    layers::ChainView::Layers names;
    for (const LayerPtr& layer : fs.layers) names.push_back(ensure_names(*layer, work));
    return layers::ChainView(std::move(names));
}

layers::ChainView LayerForms::view(const FileSystem& fs, const Work& work) {
    ensure_trees(fs, work);
    return names(fs, work);
}

std::vector<util::RootedDir> LayerForms::trees(const FileSystem& fs, const Work& work) {
    std::vector<util::RootedDir> out;
    for (const LayerPtr& layer : fs.layers) {
        out.push_back(util::RootedDir::open(lease_.tree_path(ensure_tree(*layer, work))));
    }
    return out;
}

// Of a layer without a tree, if it is a tar that this store wrote: that one follows from the names.
std::optional<layers::BlobForm> LayerForms::plain_form(Layer& layer) {
    if (layer.has_tree || lease_.has_tree(*layer.id)) return std::nullopt;
    if (!layer.diff_id) layer.diff_id = lease_.facts(*layer.id).diff_id;
    if (!layer.diff_id) return std::nullopt;
    const layers::Codec plain{.kind = layers::Codec::Kind::none};
    return lease_.find_form(*layer.diff_id, plain.codec_id());
}

layers::ChainFiles LayerForms::files(const FileSystem& fs, const Work& work) {
    ensure_stored(fs, work);
    FileSystem others;
    std::vector<std::optional<layers::BlobForm>> plain;
    for (const LayerPtr& layer : fs.layers) {
        const std::lock_guard lock(layer->mutex);
        plain.push_back(plain_form(*layer));
        if (!plain.back()) others.layers.push_back(layer);
    }
    ensure_trees(others, work);

    layers::ChainView::Layers names;
    std::vector<layers::LayerFiles> of_layers;
    for (std::size_t i = 0; i < fs.layers.size(); ++i) {
        Layer& layer = *fs.layers[i];
        names.push_back(ensure_names(layer, work));
        if (plain[i]) {
            of_layers.emplace_back(lease_.open_blob_file(plain[i]->blob), names.back());
        } else {
            of_layers.emplace_back(util::RootedDir::open(lease_.tree_path(ensure_tree(layer, work))));
        }
    }
    return {.view = layers::ChainView(std::move(names)), .of_layers = std::move(of_layers)};
}

layers::ChainFiles LayerForms::files_of_trees(const FileSystem& fs, const Work& work) {
    layers::ChainView names = view(fs, work);
    std::vector<layers::LayerFiles> of_layers;
    for (util::RootedDir& tree : trees(fs, work)) of_layers.emplace_back(std::move(tree));
    return {.view = std::move(names), .of_layers = std::move(of_layers)};
}

std::optional<layers::LayerId> LayerForms::ensure_patch(const FileSystem& fs, const layers::ChainView& view,
                                                        const Work& work) {
    const std::vector<layers::PatchItem> plan = layers::plan_patch(view);
    if (plan.empty()) return std::nullopt;
    std::string ingredients = R"({"v":1,"op":"patch","layers":[)";
    for (const LayerPtr& layer : fs.layers) {
        ingredients += fmt::format("{}\"{}\"", layer == fs.layers.front() ? "" : ",", layer->identity.text());
    }
    ingredients += "]}";
    const layers::KeyRecord record{
        .key = util::Sha256::of(ingredients), .kind = "patch", .slot = "", .ingredients = ingredients};
    if (auto id = lease_.find_layer(record.key)) return id;
    const auto claim = lease_.claim(record.key, work.stop);
    if (auto id = lease_.find_layer(record.key)) return id;

    layers::UnfinishedLayer unfinished = lease_.begin_layer();
    layers::TreeWriter writer(util::RootedDir::open(unfinished.tree()));
    layers::write_patch(plan, trees(fs, work), writer);
    return lease_.publish(std::move(unfinished), writer.finish().serialize(), {}, record);
}

}  // namespace imgbuild::builder
