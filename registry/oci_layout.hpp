// Images in a directory. Spec: image-spec image-layout.md.
//
// The directory holds "oci-layout" (a version), "index.json" (what images there are, with their names), and
// "blobs/sha256/<hex>". Readers believe nothing: a layout may come from anybody, so blobs are only opened inside the
// directory, never through a symbolic link, and always verified.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>

#include "oci/blobs.hpp"
#include "oci/resolve.hpp"
#include "util/rooted_dir.hpp"

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::registry {

/// Reads a layout. Immutable; may be used from several threads.
class OciLayout final : public oci::BlobSource {
public:
    /// `path` is a directory of the user's. Throws CorruptData ("corrupt.oci-layout") if it is no layout.
    static OciLayout open(const std::string& path);

    /// `selector` is a tag ("1.2", compared with the entries' org.opencontainers.image.ref.name and
    /// io.containerd.image.name), a digest ("sha256:…"), or empty for the only image there is (or the one for
    /// `wanted`). Throws CorruptData, RegistryError ("registry.no-such-image") with the names that there are.
    oci::ResolvedImage resolve(std::string_view selector, const Platform& wanted, std::stop_token stop);

    void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) override;

private:
    OciLayout(std::string path, util::RootedDir root) : path_(std::move(path)), root_(std::move(root)) {}

    std::string path_;
    util::RootedDir root_;
};

/// Writes a layout into a directory that may hold one already. Blobs are published atomically and once; index.json is
/// replaced under a lock (the file "index.json.lock"… beside it), so that two builds may write into one layout. What is
/// there already stays, except that a name moves to the new image.
class OciLayoutWriter final : public oci::BlobSink {
public:
    /// Makes the directory if need be. `image_name` ("docker.io/library/app:1") is written beside the tag as
    /// io.containerd.image.name, so that containerd and docker can load it; empty leaves it out.
    explicit OciLayoutWriter(std::string path, std::string image_name = {});

    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    /// Each tag becomes an entry of index.json; without any the entry has no name.
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;

private:
    std::string blob_path(const Digest& digest) const;
    void store(const oci::Descriptor& blob, util::Source& content, std::stop_token stop) const;
    void update_index(const oci::Descriptor& manifest, std::span<const std::string> tags) const;

    std::string path_;
    std::string image_name_;
};

}  // namespace imgbuild::registry
