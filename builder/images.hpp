// From the names in FROM and --from to images: the local store, registries, OCI layouts.
#pragma once

#include <imgbuild/platform.hpp>

#include "builder/file_system.hpp"
#include "builder/frontend/lower.hpp"
#include "layers/store.hpp"
#include "oci/image_config.hpp"
#include "registry/client.hpp"

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

namespace imgbuild::builder {

/// Whether a name that the local store has is asked for at its registry all the same.
enum class Pull { missing, always };

struct ImagesOptions {
    Pull pull = Pull::missing;
};

/// Resolves names, each once per build. Threads may call at once; the same name waits for the first.
class Images {
public:
    Images(layers::Store& store, registry::RegistryClient& client, ImagesOptions options, std::stop_token stop)
        : store_(store), client_(client), options_(options), stop_(std::move(stop)) {}

    /// `name` is a reference, or "oci-layout://DIR[:TAG|@DIGEST]". The locator of the result is the key for
    /// file_system(). Throws what registry, layout and store throw, with a frame that names the image.
    BaseImage resolve(const std::string& name, const Platform& platform);
    /// The layers of a resolved image, not fetched.
    FileSystem file_system(const std::string& locator) const;
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
    };

    void resolve_into(Resolved& slot, const std::string& name, const Platform& platform);
    void take(Resolved& slot, const oci::ResolvedImage& image, std::shared_ptr<oci::BlobSource> source,
              const std::string& shown_name);

    layers::Store& store_;
    registry::RegistryClient& client_;
    ImagesOptions options_;
    std::stop_token stop_;

    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Resolved>> resolved_;
    std::multimap<std::string, std::string> repositories_;
};

}  // namespace imgbuild::builder
