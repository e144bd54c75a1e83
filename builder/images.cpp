#include "builder/images.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

constexpr std::string_view kLayoutScheme = "oci-layout://";
constexpr std::string_view kDockerScheme = "docker-image://";

struct LayoutName {
    std::string directory;
    std::string selector;
};

// "DIR:TAG" or "DIR@sha256:…"; a ":" before the last "/" belongs to the directory.
LayoutName split_layout(std::string_view text) {
    if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
        return {.directory = std::string(text.substr(0, at)), .selector = std::string(text.substr(at + 1))};
    }
    const std::size_t slash = text.rfind('/');
    const std::size_t colon = text.find(':', slash == std::string_view::npos ? 0 : slash);
    if (colon == std::string_view::npos) return {.directory = std::string(text), .selector = {}};
    return {.directory = std::string(text.substr(0, colon)), .selector = std::string(text.substr(colon + 1))};
}

std::int64_t base_time(const oci::ImageConfig& config) {
    return std::max(kEarliestLayerTime, config.created ? config.created->seconds : kEarliestLayerTime);
}

LayerPtr layer_of(const DiffId& diff_id) {
    auto layer = std::make_shared<Layer>(diff_id.digest());
    layer->diff_id = diff_id;
    return layer;
}

}  // namespace

void Images::take(Resolved& slot, const oci::ResolvedImage& image, std::shared_ptr<oci::BlobSource> source,
                  const std::string& shown_name) {
    slot.image.config = image.config;
    slot.fs.base_time = base_time(image.config);
    slot.fs.base_layers = image.config.diff_ids.size();
    for (std::size_t i = 0; i < image.config.diff_ids.size(); ++i) {
        LayerPtr layer = layer_of(image.config.diff_ids[i]);
        layer->remote = RemoteLayer{.blob = image.manifest.layers.at(i), .source = source, .image = shown_name};
        slot.fs.layers.push_back(std::move(layer));
    }
}

void Images::resolve_into(Resolved& slot, const std::string& name, const Platform& platform) {
    if (name.starts_with(kLayoutScheme)) {
        const LayoutName layout_name = split_layout(std::string_view(name).substr(kLayoutScheme.size()));
        auto layout = std::make_shared<registry::OciLayout>(registry::OciLayout::open(layout_name.directory));
        const oci::ResolvedImage image = layout->resolve(layout_name.selector, platform, stop_);
        take(slot, image, layout, name);
        return;
    }
    const Reference reference = Reference::parse(name);
    if (options_.pull == Pull::missing) {
        const auto local = store_.find_image(reference.text());
        if (local) {
            slot.image.config = oci::parse_image_config(local->config);
            if (satisfies(slot.image.config.platform, platform)) {
                slot.fs.base_time = base_time(slot.image.config);
                slot.fs.base_layers = local->diff_ids.size();
                for (const DiffId& diff_id : local->diff_ids) slot.fs.layers.push_back(layer_of(diff_id));
                return;
            }
        }
    }
    const oci::ResolvedImage image = client_.resolve(reference, platform, stop_);
    auto repository = std::make_shared<registry::Repository>(client_, reference);
    take(slot, image, repository, reference.familiar());
    const std::lock_guard lock(mutex_);
    repositories_.emplace(reference.domain(), reference.path());
}

BaseImage Images::resolve(const std::string& given, const Platform& platform) {
    const std::string name = given.starts_with(kDockerScheme) ? given.substr(kDockerScheme.size()) : given;
    const std::string locator =
        fmt::format("{} {}", name.starts_with(kLayoutScheme) ? name : Reference::parse(name).text(), platform.text());
    std::shared_ptr<Resolved> slot;
    {
        const std::lock_guard lock(mutex_);
        auto& entry = resolved_[locator];
        if (!entry) entry = std::make_shared<Resolved>();
        slot = entry;
    }
    const std::lock_guard lock(slot->mutex);
    if (slot->failure) std::rethrow_exception(slot->failure);
    if (slot->done) return slot->image;
    try {
        in_context(fmt::format("resolving {}", util::quote(name)), [&] { resolve_into(*slot, name, platform); });
    } catch (const Error&) {
        slot->failure = std::current_exception();
        throw;
    }
    slot->image.locator = locator;
    slot->done = true;
    return slot->image;
}

FileSystem Images::file_system(const std::string& locator) const {
    const std::lock_guard lock(mutex_);
    return resolved_.at(locator)->fs;
}

std::vector<std::string> Images::repositories(const std::string& domain) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    const auto range = repositories_.equal_range(domain);
    for (auto at = range.first; at != range.second; ++at) out.push_back(at->second);
    return out;
}

}  // namespace imgbuild::builder
