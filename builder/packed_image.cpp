#include "builder/packed_image.hpp"

#include "builder/parallel.hpp"
#include "oci/media_types.hpp"
#include "util/defer.hpp"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <semaphore>
#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

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

class LayerPacking {
public:
    LayerPacking(const FileSystem& fs, LayerForms& forms, const Packing& packing, unsigned threads, const Work& work)
        : fs_(fs), forms_(forms), packing_(packing), threads_(threads), work_(work), blobs_(fs.layers.size()) {}

    std::vector<layers::BlobForm> run(oci::BlobSink* into) {
        if (into == nullptr || !has_to_pack(fs_, forms_, packing_)) {
            in_parallel(blobs_.size(), threads_, work_.stop,
                        [&](std::size_t i, std::stop_token stop) { find_or_pack(i, work_.with(std::move(stop))); });
        } else if (into->wants_order()) {
            pack_in_order(*into);
        } else {
            pack_and_send(*into);
        }
        return std::move(blobs_);
    }

private:
    // Less is copied afterwards in no time.
    static constexpr std::uint64_t kWorthOnePass = 8U << 20;

    void find_or_pack(std::size_t i, const Work& work) {
        Layer& layer = *fs_.layers[i];
        const auto remote = packing_.recompress == Recompress::no ? forms_.find_remote_blob(layer) : std::nullopt;
        blobs_[i] = remote ? *remote : forms_.ensure_blob(layer, packing_.codec, work, packing_.recompress);
    }

    void send(std::size_t i, oci::BlobSink& into, const Work& work) {
        const oci::Descriptor blob = descriptor_of(blobs_[i]);
        if (into.has(blob, work.stop)) return;
        into.put(
            blob, [&] { return open_blob(*fs_.layers[i], blobs_[i], forms_, packing_, work); }, work.stop);
    }

    void pack_in_order(oci::BlobSink& into) {
        // No vector<bool>, as several threads write them.
        std::vector<char> is_large(blobs_.size(), 0);
        in_parallel(blobs_.size(), threads_, work_.stop, [&](std::size_t i, std::stop_token stop) {
            if (forms_.has_to_pack(*fs_.layers[i], packing_.codec, kWorthOnePass)) {
                is_large[i] = 1;
            } else {
                find_or_pack(i, work_.with(std::move(stop)));
            }
        });
        const auto last = std::find(is_large.rbegin(), is_large.rend(), 1);
        const auto count = static_cast<std::size_t>(std::distance(last, is_large.rend()));
        for (std::size_t i = 0; i < count; ++i) {
            if (is_large[i] != 0) {
                blobs_[i] = forms_.ensure_blob(*fs_.layers[i], packing_.codec, work_, packing_.recompress, &into);
            }
            send(i, into, work_);
        }
    }

    void pack_and_send(oci::BlobSink& into) {
        // One layer keeps all cores busy by itself; who sends leaves its place to the next.
        std::counting_semaphore<> cores(static_cast<std::ptrdiff_t>(std::max(threads_, 1U)));
        std::mutex mutex;
        std::set<Digest> sent;
        in_parallel(blobs_.size(), std::max(threads_, kBlobsAtOnce), work_.stop,
                    [&](std::size_t i, std::stop_token stop) {
                        const Work work = work_.with(std::move(stop));
                        {
                            cores.acquire();
                            const util::Defer release([&] { cores.release(); });
                            find_or_pack(i, work);
                        }
                        {
                            const std::lock_guard lock(mutex);
                            if (!sent.insert(blobs_[i].blob.digest).second) return;
                        }
                        send(i, into, work);
                    });
    }

    const FileSystem& fs_;
    LayerForms& forms_;
    const Packing& packing_;
    unsigned threads_;
    const Work& work_;
    std::vector<layers::BlobForm> blobs_;
};

}  // namespace

std::vector<layers::BlobForm> pack_layers(const FileSystem& fs, LayerForms& forms, const Packing& packing,
                                          unsigned threads, const Work& work, oci::BlobSink* into) {
    return LayerPacking(fs, forms, packing, threads, work).run(into);
}

bool has_to_pack(const FileSystem& fs, LayerForms& forms, const Packing& packing) {
    return std::any_of(fs.layers.begin(), fs.layers.end(),
                       [&](const LayerPtr& layer) { return forms.has_to_pack(*layer, packing.codec, 1); });
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

}  // namespace imgbuild::builder
