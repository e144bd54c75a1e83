#include "builder/send_image.hpp"

#include "builder/parallel.hpp"
#include "registry/registry_errors.hpp"
#include "registry/retry.hpp"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <utility>

namespace imgbuild::builder {
namespace {

// An image may have one layer twice (an empty one, mostly); its blob is sent once.
std::vector<std::size_t> different_layers(const oci::Manifest& manifest) {
    std::vector<std::size_t> out;
    std::set<Digest> seen;
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
        if (seen.insert(manifest.layers[i].digest).second) out.push_back(i);
    }
    return out;
}

void send_blobs(const PackedImage& image, oci::BlobSink& sink, const Work& work, unsigned at_once) {
    const std::vector<std::size_t> layers = different_layers(image.manifest);
    in_parallel(layers.size(), at_once, work.stop, [&](std::size_t which, const std::stop_token& stop) {
        const std::size_t i = layers[which];
        const oci::Descriptor& blob = image.manifest.layers[i];
        if (sink.has(blob, stop)) return;
        sink.put(
            blob, [&] { return image.open_layer(i, work.with(stop)); }, stop);
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
