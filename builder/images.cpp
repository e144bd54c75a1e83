#include "builder/images.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "oci/verifying_sink.hpp"
#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

std::int64_t seconds_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// One number is enough for people.
std::string age(std::int64_t seconds) {
    constexpr std::pair<std::int64_t, std::string_view> kUnits[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}};
    for (const auto& [length, unit] : kUnits) {
        const std::int64_t count = seconds / length;
        if (count > 0) return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
    }
    return fmt::format("{} second{}", seconds, seconds == 1 ? "" : "s");
}

// The registry of an image when none may be asked.
class NoRegistry final : public oci::BlobSource {
public:
    explicit NoRegistry(std::string image) : image_(std::move(image)) {}

    void fetch(const oci::Descriptor& blob, util::Sink&, std::stop_token) override {
        throw Error({.code = "source.not-pulled",
                     .message = fmt::format("the layer {} of {} is not in the store, and --pull=never lets no registry "
                                            "be asked",
                                            blob.digest.text(), util::quote(image_)),
                     .hint = "build once with --pull=missing",
                     .where = {}});
    }

private:
    std::string image_;
};

[[noreturn]] void throw_absent(const Reference& reference, const Platform& platform) {
    // A name of the store has no digest.
    const std::string by_hand = reference.digest()
                                    ? ""
                                    : fmt::format(", or bring it here first: imgbuild copy docker://{} store:{}",
                                                  reference.familiar(), reference.familiar());
    throw Error(
        {.code = "source.not-pulled",
         .message = fmt::format("there is no image {} for {} in the store, and --pull=never lets no registry be "
                                "asked",
                                util::quote(reference.familiar()), platform.text()),
         .hint = "build once with --pull=missing" + by_hand,
         .where = {}});
}

// What is remembered goes through the same checks as what a registry sends.
oci::ResolvedImage image_of(const layers::ResolvedName& known, const Platform& platform, const std::stop_token& stop) {
    class Config final : public oci::BlobSource {
    public:
        explicit Config(const std::string& text) : text_(text) {}
        void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token) override {
            oci::VerifyingSink sink(blob, into, "the remembered config of the image");
            sink.write(util::as_bytes(text_));
            sink.finish();
        }

    private:
        const std::string& text_;
    } config(known.config);
    const auto no_index = [](const oci::Descriptor& entry) -> std::string {
        throw CorruptData("the remembered manifest", "a manifest", "an index with " + entry.digest.text());
    };
    return oci::resolve_image(known.manifest, platform, config, no_index, stop);
}

bool is_whole(const layers::ResolvedName& known, const Platform& platform, const std::stop_token& stop) {
    try {
        image_of(known, platform, stop);
        return true;
    } catch (const Error&) {
        // Then it was never said: the registry is asked, and what it says takes this one's place.
        return false;
    }
}

}  // namespace

void Images::take(Resolved& slot, const oci::ResolvedImage& image, std::shared_ptr<oci::BlobSource> source,
                  const std::string& shown_name, const std::string& repository) {
    slot.image.config = image.config;
    slot.fs.base_time = base_time(image.config);
    slot.fs.base_layers = image.config.diff_ids.size();
    for (std::size_t i = 0; i < image.config.diff_ids.size(); ++i) {
        LayerPtr layer = layer_of(image.config.diff_ids[i]);
        layer->remote = RemoteLayer{
            .blob = image.manifest.layers.at(i), .source = source, .image = shown_name, .repository = repository};
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
    resolve_registry_image(slot, Reference::parse(name), platform);
}

std::shared_ptr<oci::BlobSource> Images::source_of(const Reference& reference) const {
    if (options_.pull == Pull::never) return std::make_shared<NoRegistry>(reference.familiar());
    return std::make_shared<registry::Repository>(client_, reference);
}

bool Images::take_stored(Resolved& slot, const Reference& reference, const Platform& platform) {
    const auto local = store_.find_image(reference.text());
    if (!local) return false;
    slot.image.config = oci::parse_image_config(local->config);
    if (!satisfies(slot.image.config.platform, platform)) return false;
    slot.fs.base_time = base_time(slot.image.config);
    slot.fs.base_layers = local->diff_ids.size();
    for (const DiffId& diff_id : local->diff_ids) {
        LayerPtr layer = layer_of(diff_id);
        if (const auto remote = store_.find_remote(diff_id)) {
            const Reference repository = Reference::parse(remote->repository);
            layer->remote = remote_layer(*remote, source_of(repository));
        }
        slot.fs.layers.push_back(std::move(layer));
    }
    return true;
}

bool Images::is_believed(const Reference& reference, const layers::ResolvedName& known, std::int64_t now) const {
    if (options_.pull == Pull::always) return false;
    if (options_.pull == Pull::never || reference.digest()) return true;
    // An answer from the future is one from before the clock was set.
    return known.time <= now && std::chrono::seconds(now - known.time) < options_.tag_ttl;
}

layers::ResolvedName Images::ask(const Reference& reference, const Platform& platform,
                                 std::optional<layers::ResolvedName> known, std::int64_t now) {
    registry::Repository repository(client_, reference);
    if (known) {
        const Digest top = known->index.value_or(known->manifest.descriptor.digest);
        const std::string tag = reference.digest() ? reference.digest()->text() : reference.tag();
        const auto found = in_context(fmt::format("pulling {}", util::quote(reference.text())),
                                      [&] { return repository.find_manifest(tag, stop_); });
        if (found != top) known.reset();
    }
    if (!known) {
        oci::ResolvedImage image = client_.resolve(reference, platform, stop_);
        known = layers::ResolvedName{
            .time = 0,
            .manifest = {.descriptor = image.manifest_descriptor, .bytes = std::move(image.manifest_bytes)},
            .config = std::move(image.config_bytes),
            .index = {}};
        if (image.index_descriptor) known->index = image.index_descriptor->digest;
    }
    known->time = now;
    layers::ResolvedNames(store_.root()).remember(reference.text(), platform.text(), *known);
    return std::move(*known);
}

void Images::resolve_registry_image(Resolved& slot, const Reference& reference, const Platform& platform) {
    if (options_.pull != Pull::always && take_stored(slot, reference, platform)) return;
    slot.image.config = {};
    const std::int64_t now = seconds_now();
    auto known = layers::ResolvedNames(store_.root()).find(reference.text(), platform.text());
    if (known && !is_whole(*known, platform, stop_)) known.reset();
    const bool believed = known && is_believed(reference, *known, now);
    if (!believed) {
        if (options_.pull == Pull::never) throw_absent(reference, platform);
        known = ask(reference, platform, std::move(known), now);
    }
    const oci::ResolvedImage image = image_of(*known, platform, stop_);
    take(slot, image, source_of(reference), reference.familiar(), reference.repository());
    slot.origin = known->index.value_or(known->manifest.descriptor.digest).text();
    if (believed)
        slot.origin += fmt::format(", as its registry said {} ago", age(std::max<std::int64_t>(now - known->time, 0)));
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

bool Images::asks_registry(const std::string& given, const Platform& platform) const {
    const std::string name = given.starts_with(kDockerScheme) ? given.substr(kDockerScheme.size()) : given;
    if (options_.pull == Pull::never || name.starts_with(kLayoutScheme)) return false;
    if (options_.pull == Pull::always) return true;
    const Reference reference = Reference::parse(name);
    if (store_.find_image(reference.text())) return false;
    const auto known = layers::ResolvedNames(store_.root()).find(reference.text(), platform.text());
    return !known || !is_believed(reference, *known, seconds_now());
}

FileSystem Images::file_system(const std::string& locator) const {
    const std::lock_guard lock(mutex_);
    return resolved_.at(locator)->fs;
}

std::string Images::origin(const std::string& locator) const {
    const std::lock_guard lock(mutex_);
    return resolved_.at(locator)->origin;
}

std::vector<std::string> Images::repositories(const std::string& domain) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    const auto range = repositories_.equal_range(domain);
    for (auto at = range.first; at != range.second; ++at) out.push_back(at->second);
    return out;
}

}  // namespace imgbuild::builder
