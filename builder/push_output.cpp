#include "builder/push_output.hpp"

#include <imgbuild/error.hpp>

#include "builder/send_image.hpp"
#include "registry/registry_errors.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>

namespace imgbuild::builder {

// One repository with the tags that the image gets there. Remembers which blobs are there, so that nobody asks twice.
class PushOutput::Target final : public oci::BlobSink {
    template <class Action>
    auto in_push(const Action& action) const {
        return in_context(fmt::format("pushing {}", util::quote(name_.familiar())), action);
    }

public:
    Target(const Reference& name, const Services& services, std::vector<std::string> mount_from)
        : name_(name), repository_(services.registry, name, std::move(mount_from)) {}

    bool has(const oci::Descriptor& blob, std::stop_token stop) override {
        if (is_known(blob.digest)) return true;
        const bool out = in_push([&] { return repository_.has(blob, std::move(stop)); });
        if (out) note(blob.digest);
        return out;
    }

    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override {
        in_push([&] { repository_.put(blob, open, std::move(stop)); });
        note(blob.digest);
    }

    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override {
        try {
            in_push([&] { repository_.put_manifest(manifest, bytes, tags, std::move(stop)); });
        } catch (const RegistryError& error) {
            if (error.code() == registry::kBlobsMissing) forget();
            throw;
        }
    }

    const Reference& name() const { return name_; }
    const std::vector<std::string>& tags() const { return tags_; }
    void add_tag(std::string tag) { tags_.push_back(std::move(tag)); }

private:
    bool is_known(const Digest& blob) const {
        const std::lock_guard lock(mutex_);
        return known_.contains(blob);
    }
    void note(const Digest& blob) {
        const std::lock_guard lock(mutex_);
        known_.insert(blob);
    }
    void forget() {
        const std::lock_guard lock(mutex_);
        known_.clear();
    }

    Reference name_;
    std::vector<std::string> tags_;
    registry::Repository repository_;
    mutable std::mutex mutex_;
    std::set<Digest> known_;
};

// Blobs go once to each repository; the second one on a registry mounts those of the first.
PushOutput::PushOutput(const Output& output, std::span<const Reference> names, const Services& services,
                       const MountFrom& mount_from)
    : services_(services), by_digest_(output.by_digest), names_(names.begin(), names.end()) {
    for (const Reference& name : names_) {
        auto target = std::find_if(targets_.begin(), targets_.end(),
                                   [&](const auto& known) { return known->name().repository() == name.repository(); });
        if (target == targets_.end()) {
            std::vector<std::string> sources;
            const auto add = [&](std::string path) {
                const bool is_known = std::find(sources.begin(), sources.end(), path) != sources.end();
                if (!is_known && path != name.path()) sources.push_back(std::move(path));
            };
            for (const auto& earlier : targets_) {
                if (earlier->name().domain() == name.domain()) add(earlier->name().path());
            }
            for (std::string& base : mount_from(name.domain())) add(std::move(base));
            targets_.push_back(std::make_unique<Target>(name, services, std::move(sources)));
            target = std::prev(targets_.end());
        }
        (*target)->add_tag(name.tag());
    }
}

PushOutput::~PushOutput() = default;

oci::BlobSink* PushOutput::early() {
    return targets_.empty() ? nullptr : targets_.front().get();
}

void PushOutput::finish(const PackedImage& image, const Work& work) {
    const layers::ResolvedNames memory(services_.store.root());
    for (const auto& target : targets_) {
        send_image(image, *target, by_digest_ ? std::vector<std::string>{} : target->tags(), work, kBlobsAtOnce);
        for (const Reference& name : names_) {
            if (name.repository() == target->name().repository()) memory.forget(name.text());
        }
    }
}

}  // namespace imgbuild::builder
