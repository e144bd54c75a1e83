#include "oci/resolve.hpp"

#include <imgbuild/error.hpp>

#include "oci/media_types.hpp"
#include "util/bytes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::oci {
namespace {

[[noreturn]] void throw_corrupt(std::string message) {
    throw CorruptData({.code = "corrupt.manifest", .message = std::move(message), .hint = {}, .where = {}});
}

[[noreturn]] void throw_no_platform(const Index& index, const Platform& wanted) {
    const std::string there_are = available_platforms(index);
    throw RegistryError({.code = "registry.no-such-platform",
                         .message = fmt::format("there is no image for {}", wanted.text()),
                         .hint = there_are.empty() ? "the index has no image at all" : "there are: " + there_are,
                         .where = {}},
                        0, RegistryError::Retry::no);
}

Descriptor choose(const Index& index, const Platform& wanted) {
    const auto entry = select_platform(index, wanted);
    if (!entry) throw_no_platform(index, wanted);
    if (is_index(entry->media_type)) {
        throw_corrupt("the index has another index as its entry for " + wanted.text() + ", which is not supported");
    }
    return *entry;
}

void check_config(const ResolvedImage& image) {
    const std::size_t layers = image.manifest.layers.size();
    if (image.config.diff_ids.size() != layers) {
        throw_corrupt(fmt::format("the manifest has {} layers, but the image's config has {}", layers,
                                  image.config.diff_ids.size()));
    }
}

void check_layers(const Manifest& manifest) {
    for (const Descriptor& layer : manifest.layers) {
        if (!layer_codec(layer.media_type)) {
            throw_corrupt(fmt::format("layer {} has the unknown media type {}", layer.digest.text(),
                                      util::quote(layer.media_type)));
        }
    }
}

}  // namespace

ResolvedImage resolve_image(Document root, const Platform& wanted, BlobSource& source,
                            const std::function<std::string(const Descriptor&)>& fetch_manifest, std::stop_token stop) {
    ResolvedImage image;
    if (document_is_index(root.bytes, root.descriptor.media_type)) {
        const Index index = parse_index(root.bytes, root.descriptor.media_type);
        image.manifest_descriptor = choose(index, wanted);
        image.manifest_bytes = fetch_manifest(image.manifest_descriptor);
        image.index_descriptor = root.descriptor;
    } else {
        image.manifest_descriptor = root.descriptor;
        image.manifest_bytes = std::move(root.bytes);
    }
    image.manifest = parse_manifest(image.manifest_bytes, image.manifest_descriptor.media_type);
    image.manifest_descriptor.media_type = image.manifest.media_type;
    if (!is_image_config(image.manifest.config.media_type)) {
        throw_corrupt(fmt::format("it is no image but an artifact with a config of type {}",
                                  util::quote(image.manifest.config.media_type)));
    }
    check_layers(image.manifest);
    image.config_bytes = fetch_document(source, image.manifest.config, kMaxConfigBytes, std::move(stop));
    image.config = parse_image_config(image.config_bytes);
    check_config(image);
    image.manifest_descriptor.platform = image.config.platform;
    return image;
}

}  // namespace imgbuild::oci
