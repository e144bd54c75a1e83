#include "builder/pull.hpp"

#include "builder/export.hpp"
#include "builder/image.hpp"
#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

FileSystem remote_layers(const oci::ResolvedImage& image, const std::shared_ptr<oci::BlobSource>& source,
                         const std::string& shown_name) {
    FileSystem out;
    for (std::size_t i = 0; i < image.config.diff_ids.size(); ++i) {
        auto layer = std::make_shared<Layer>(image.config.diff_ids[i].digest());
        layer->diff_id = image.config.diff_ids[i];
        layer->remote = RemoteLayer{.blob = image.manifest.layers.at(i), .source = source, .image = shown_name};
        out.layers.push_back(std::move(layer));
    }
    out.base_layers = out.layers.size();
    return out;
}

}  // namespace

Digest pull_image(const Reference& name, const Platform& platform, const Services& services, std::stop_token stop) {
    return in_context(fmt::format("pulling {}", util::quote(name.familiar())), [&] {
        const oci::ResolvedImage found = services.registry.resolve(name, platform, stop);
        const auto source = std::make_shared<registry::Repository>(services.registry, name);
        layers::Lease lease = services.store.begin_lease();
        LayerForms forms(lease, services.threads);
        // The config as it came: the image's id is the digest of these bytes.
        const Image image{.id = util::Sha256::of(found.config_bytes),
                          .config = found.config,
                          .config_text = found.config_bytes,
                          .fs = remote_layers(found, source, name.familiar()),
                          .time = found.config.created ? found.config.created->seconds : 0};
        forms.ensure_trees(image.fs, {.stop = stop, .progress = services.progress});
        keep_image(image, std::vector{name}, services.store, lease);
        services.store.settle();
        return image.id;
    });
}

}  // namespace imgbuild::builder
