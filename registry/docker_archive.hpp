// The archives of `docker save` and `docker load`: a tar with "manifest.json", which lists images by their configs,
// names and layers. Layers are usually plain tars; compressed ones are understood, as docker does.
//
//     [{"Config": "<hex>.json", "RepoTags": ["app:1"], "Layers": ["<id>/layer.tar", …]}]
//
// Such an image has no manifest. One is made: of OCI's media types, with the layers as they lie there.
#pragma once

#include <imgbuild/platform.hpp>

#include "oci/blobs.hpp"
#include "oci/resolve.hpp"
#include "registry/image_files.hpp"

#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

inline constexpr std::string_view kDockerManifestFile = "manifest.json";

/// Reads one. Not for several threads until resolve() has returned; then for several.
class DockerArchive final : public oci::BlobSource {
public:
    /// Throws IoError; CorruptData ("corrupt.archive", "corrupt.docker-archive").
    explicit DockerArchive(const std::string& path);

    /// `name` is one of RepoTags in any spelling ("app:1", "docker.io/library/app:1"), or empty for the only image.
    /// Reads compressed layers once to know their digests. Throws CorruptData; RegistryError
    /// ("registry.no-such-image") with what there is; Cancelled.
    oci::ResolvedImage resolve(std::string_view name, const Platform& wanted, std::stop_token stop);

    /// Layers and config of images that were resolved.
    void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) override;

    struct Image {
        std::string config;
        std::vector<std::string> names;
        std::vector<std::string> layers;
    };
    const std::vector<Image>& images() const { return images_; }

private:
    const Image& find(std::string_view name) const;
    oci::Descriptor describe_layer(const std::string& file, const DiffId& diff_id, const std::stop_token& stop);

    std::string path_;
    TarFiles files_;
    std::vector<Image> images_;
    std::map<Digest, std::string> places_;
};

}  // namespace imgbuild::registry
