// From the names in FROM and --from to images: the local store, registries, OCI layouts.
//
// A registry is asked as seldom as can be. A name is looked for
//
//   1. in the store: an image that was built, pulled or copied under it is the one that is meant, however old it is;
//   2. among what registries have said before (layers/resolved_names.hpp): a digest means the same for ever, a tag for
//      ImagesOptions::tag_ttl;
//   3. at its registry, with one HEAD if it is still what it was, and its documents are known.
//
// Pull::always begins at 3, Pull::never ends at 2 and takes tags of any age. Layers are not fetched here; that of an
// image of 2 may turn out to need its registry all the same.
#pragma once

#include <imgbuild/platform.hpp>
#include <imgbuild/reference.hpp>

#include "builder/file_system.hpp"
#include "builder/frontend/lower.hpp"
#include "layers/resolved_names.hpp"
#include "layers/store.hpp"
#include "oci/image_config.hpp"
#include "registry/client.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::builder {

/// Whether a registry is asked for an image that is known here already, or at all.
enum class Pull { never, missing, always };

/// Long enough for an afternoon's edits to need no network, short enough for nobody to wonder where a new base is.
inline constexpr std::chrono::milliseconds kTagTtl = std::chrono::minutes(10);

struct ImagesOptions {
    Pull pull = Pull::missing;
    /// How long what a registry says of a tag is believed; 0: not at all.
    std::chrono::milliseconds tag_ttl = kTagTtl;
};

/// Resolves names, each once per build. Threads may call at once; the same name waits for the first.
class Images {
public:
    Images(layers::Store& store, registry::RegistryClient& client, ImagesOptions options, std::stop_token stop)
        : store_(store), client_(client), options_(options), stop_(std::move(stop)) {}

    /// `name` is a reference, or "oci-layout://DIR[:TAG|@DIGEST]". The locator of the result is the key for
    /// file_system(). Throws what registry, layout and store throw, with a frame that names the image.
    BaseImage resolve(const std::string& name, const Platform& platform);
    /// Whether resolve() would have to ask a registry, as things are now.
    bool asks_registry(const std::string& name, const Platform& platform) const;
    /// The layers of a resolved image, not fetched.
    FileSystem file_system(const std::string& locator) const;
    /// What people may want to know of a resolved image: "sha256:…, as its registry said 3 minutes ago". Empty for
    /// those of the store and of layouts, which are what they are.
    std::string origin(const std::string& locator) const;
    /// The names of resolved registry images by domain, "library/busybox": repositories from which a push may mount.
    std::vector<std::string> repositories(const std::string& domain) const;

private:
    struct Resolved {
        std::mutex mutex;
        bool done = false;
        /// What kept it from being resolved: asked again, it fails again.
        std::exception_ptr failure;
        BaseImage image;
        FileSystem fs;
        std::string origin;
    };

    void resolve_into(Resolved& slot, const std::string& name, const Platform& platform);
    bool take_stored(Resolved& slot, const Reference& reference, const Platform& platform);
    void take(Resolved& slot, const oci::ResolvedImage& image, std::shared_ptr<oci::BlobSource> source,
              const std::string& shown_name, const std::string& repository = {});
    std::shared_ptr<oci::BlobSource> source_of(const Reference& reference) const;
    void resolve_registry_image(Resolved& slot, const Reference& reference, const Platform& platform);
    bool is_believed(const Reference& reference, const layers::ResolvedName& known, std::int64_t now) const;
    /// Asks the registry, and remembers the answer.
    layers::ResolvedName ask(const Reference& reference, const Platform& platform,
                             std::optional<layers::ResolvedName> known, std::int64_t now);

    layers::Store& store_;
    registry::RegistryClient& client_;
    ImagesOptions options_;
    std::stop_token stop_;

    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Resolved>> resolved_;
    std::multimap<std::string, std::string> repositories_;
};

}  // namespace imgbuild::builder
