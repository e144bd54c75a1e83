#include "builder/image.hpp"

#include <imgbuild/error.hpp>

#include "builder/parallel.hpp"
#include "oci/media_types.hpp"
#include "registry/registry_errors.hpp"
#include "registry/retry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

// Less is copied afterwards in no time.
constexpr std::uint64_t kWorthOnePass = 8U << 20;

// An OCI manifest speaks of layers in OCI's words; docker's media types of the same bytes mean the same.
std::string oci_media_type(const std::string& media_type) {
    const auto codec = oci::layer_codec(media_type);
    if (!codec || !media_type.starts_with("application/vnd.docker.image.rootfs.diff.")) return media_type;
    return std::string(oci::layer_media_type(*codec));
}

oci::Descriptor descriptor_of(const layers::BlobForm& form) {
    oci::Descriptor out;
    out.media_type = oci_media_type(form.media_type);
    out.digest = form.blob.digest;
    out.size = form.blob.size;
    return out;
}

Work part_of(const Work& work, std::stop_token stop) {
    return {.stop = std::move(stop), .progress = work.progress, .step = work.step, .info = work.info};
}

// Content of a layer that pack_layers() found in this form.
std::unique_ptr<util::Source> open_blob(Layer& layer, const layers::BlobForm& form, LayerForms& forms,
                                        const Packing& packing, const Work& work) {
    const layers::BlobInfo& wanted = form.blob;
    if (!forms.lease().find_blob(wanted.digest)) {
        static_cast<void>(forms.ensure_blob(layer, packing.codec, work, packing.recompress));
    }
    // Another build may meanwhile have brought the same tar in another blob, which the manifest does not name.
    if (layer.remote && !forms.lease().find_blob(wanted.digest)) {
        static_cast<void>(forms.fetch(*layer.remote, work));
    }
    return forms.lease().open_blob(wanted);
}

// An image may have one layer twice (an empty one, mostly); its blob is sent once.
std::vector<std::size_t> different_layers(const oci::Manifest& manifest) {
    std::vector<std::size_t> out;
    std::set<Digest> seen;
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
        if (seen.insert(manifest.layers[i].digest).second) out.push_back(i);
    }
    return out;
}

}  // namespace

std::int64_t newest_time(const FileSystem& fs, std::optional<std::int64_t> limit) {
    if (fs.layers.size() == fs.base_layers) return fs.base_time;
    const auto position = static_cast<std::int64_t>(fs.layers.size() - fs.base_layers);
    return layer_time(fs.base_time + kLayerTimeStep * position, fs.layers.back()->identity, limit);
}

Image finish_image(ImageDraft draft, LayerForms& forms, unsigned threads, const Work& work) {
    Image out{
        .id = {}, .config = std::move(draft.config), .config_text = {}, .fs = std::move(draft.fs), .time = draft.time};
    const FileSystem& fs = out.fs;
    std::vector<DiffId> diff_ids(fs.layers.size());
    in_parallel(fs.layers.size(), threads, work.stop, [&](std::size_t i, std::stop_token stop) {
        Layer& layer = *fs.layers[i];
        const bool is_base = i < fs.base_layers;
        // Those of a base image are known without looking at its layers.
        diff_ids[i] = is_base ? layer.diff_id.value() : forms.ensure_diff_id(layer, part_of(work, std::move(stop)));
    });
    out.config.diff_ids = std::move(diff_ids);
    const oci::Timestamp timestamp{.seconds = out.time, .nanoseconds = 0};
    out.config.created = timestamp;
    for (oci::HistoryEntry& entry : out.config.history) {
        if (!entry.created) entry.created = timestamp;
    }
    out.config_text = out.config.to_json();
    out.id = util::Sha256::of(out.config_text);
    return out;
}

std::vector<layers::BlobForm> pack_layers(const FileSystem& fs, LayerForms& forms, const Packing& packing,
                                          unsigned threads, const Work& work, oci::BlobSink* into) {
    std::vector<layers::BlobForm> blobs(fs.layers.size());
    // No vector<bool>, as several threads write them.
    std::vector<char> in_order(fs.layers.size(), 0);
    // Where we compress, one layer uses all cores by itself; fetching overlaps.
    in_parallel(fs.layers.size(), threads, work.stop, [&](std::size_t i, std::stop_token stop) {
        Layer& layer = *fs.layers[i];
        if (into != nullptr && forms.has_to_pack(layer, packing.codec, kWorthOnePass)) {
            in_order[i] = 1;
            return;
        }
        const auto remote = packing.recompress == Recompress::no ? forms.find_remote_blob(layer) : std::nullopt;
        blobs[i] = remote ? *remote
                          : forms.ensure_blob(layer, packing.codec, part_of(work, std::move(stop)), packing.recompress);
    });
    const auto last = std::find(in_order.rbegin(), in_order.rend(), 1);
    const auto count = static_cast<std::size_t>(std::distance(last, in_order.rend()));
    for (std::size_t i = 0; i < count; ++i) {
        Layer& layer = *fs.layers[i];
        if (in_order[i] != 0) blobs[i] = forms.ensure_blob(layer, packing.codec, work, packing.recompress, into);
        const oci::Descriptor blob = descriptor_of(blobs[i]);
        if (into->has(blob, work.stop)) continue;
        into->put(
            blob, [&] { return open_blob(layer, blobs[i], forms, packing, work); }, work.stop);
    }
    return blobs;
}

PackedImage list_blobs(const Image& image, std::vector<layers::BlobForm> blobs, LayerForms& forms,
                       const Packing& packing) {
    PackedImage out;
    out.config_text = image.config_text;
    out.manifest.media_type = std::string(oci::media_type::kManifest);
    out.manifest.config = oci::describe(oci::media_type::kConfig, out.config_text);
    for (const layers::BlobForm& form : blobs) out.manifest.layers.push_back(descriptor_of(form));
    out.manifest.annotations = packing.annotations;
    out.manifest_text = out.manifest.to_json();
    out.descriptor = oci::describe(oci::media_type::kManifest, out.manifest_text);
    out.descriptor.platform = image.config.platform;
    out.descriptor.annotations = packing.descriptor_annotations;
    out.open_layer = [stack = image.fs.layers, blobs = std::move(blobs), &forms, packing](std::size_t i,
                                                                                          const Work& sending) {
        return open_blob(*stack[i], blobs[i], forms, packing, sending);
    };
    return out;
}

PackedImage pack_image(const Image& image, LayerForms& forms, const Packing& packing, unsigned threads,
                       const Work& work) {
    return list_blobs(image, pack_layers(image.fs, forms, packing, threads, work), forms, packing);
}

namespace {

void send_blobs(const PackedImage& image, oci::BlobSink& sink, const Work& work, unsigned at_once) {
    const std::vector<std::size_t> layers = different_layers(image.manifest);
    in_parallel(layers.size(), at_once, work.stop, [&](std::size_t which, const std::stop_token& stop) {
        const std::size_t i = layers[which];
        const oci::Descriptor& blob = image.manifest.layers[i];
        if (sink.has(blob, stop)) return;
        sink.put(
            blob, [&] { return image.open_layer(i, part_of(work, stop)); }, stop);
    });
    if (!sink.has(image.manifest.config, work.stop)) {
        sink.put(image.manifest.config, oci::open_text(image.config_text), work.stop);
    }
}

}  // namespace

// A registry may say that it has a blob and find it missing when the manifest comes: its collector of garbage ran in
// between, or another push of the same blob is just writing its link (Debian's docker-registry truncates it first).
// Then everything is asked for again, and what lacks is sent.
void send_image(const PackedImage& image, oci::BlobSink& sink, std::span<const std::string> tags, const Work& work,
                unsigned at_once) {
    constexpr int kRounds = 4;
    std::chrono::milliseconds pause(250);
    for (int round = 1;; ++round) {
        send_blobs(image, sink, work, at_once);
        try {
            return sink.put_manifest(image.descriptor, image.manifest_text, tags, work.stop);
        } catch (RegistryError& error) {
            if (error.code() != registry::kBlobsMissing) throw;
            if (round == kRounds) {
                error.add_frame(fmt::format("giving up after {} tries", round));
                throw;
            }
        }
        registry::wait_for(pause, work.stop);
        pause *= 2;
    }
}

}  // namespace imgbuild::builder
