// Images in a directory, or in a tar of such a directory. Spec: image-spec image-layout.md.
//
// The directory holds "oci-layout" (a version), "index.json" (what images there are, with their names), and
// "blobs/sha256/<hex>". Readers believe nothing: a layout may come from anybody, so files are only opened inside the
// directory, whatever symbolic links say, blobs are always verified, and only regular files are read.
#pragma once

#include <imgbuild/platform.hpp>

#include "oci/blobs.hpp"
#include "oci/resolve.hpp"
#include "registry/image_files.hpp"

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::registry {

/// Reads a layout. Immutable; may be used from several threads.
class OciLayout final : public oci::BlobSource {
public:
    /// `path` is a directory of the user's. Throws IoError; CorruptData ("corrupt.oci-layout") if it is no layout.
    static OciLayout open(const std::string& path);
    /// `path` is a tar with a layout in it, uncompressed. Throws as open() and TarFiles.
    static OciLayout open_archive(const std::string& path);

    /// `selector` is a name ("1.2" or a whole image name, compared with org.opencontainers.image.ref.name and
    /// io.containerd.image.name), a digest ("sha256:…"), or empty. Empty means the only image there is, else the one
    /// named "latest", else the one for `wanted`, if every entry has a platform.
    /// Throws CorruptData; RegistryError ("registry.no-such-image") with the names that there are.
    oci::ResolvedImage resolve(std::string_view selector, const Platform& wanted, std::stop_token stop);

    void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) override;

private:
    OciLayout(std::string path, std::unique_ptr<ImageFiles> files);

    oci::Index read_index() const;
    oci::Descriptor find_image(std::string_view selector, const Platform& wanted) const;
    /// A manifest that index.json does not list, by its digest alone.
    oci::Descriptor describe_blob(const Digest& digest) const;

    std::string path_;
    std::unique_ptr<ImageFiles> files_;
};

/// Writes a layout into a directory that may hold one already. Blobs are published atomically and once; index.json is
/// replaced under a lock on the directory, so that two builds may write into one layout. What is there already stays,
/// except that a name moves to the new image.
class OciLayoutWriter final : public oci::BlobSink {
public:
    /// Makes the directory if need be. Throws IoError; CorruptData if the directory holds something else with the name
    /// of a layout's files.
    explicit OciLayoutWriter(std::string path);

    /// Reads the whole blob: one that is there but damaged counts as absent, and put() replaces it.
    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    /// `tags` may be whole names as well, see list_in_index().
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;

private:
    std::string file(std::string_view below) const { return path_ + "/" + std::string(below); }
    void store(const oci::Descriptor& blob, util::Source& content, const std::stop_token& stop) const;
    void update_index(const oci::Descriptor& manifest, std::span<const std::string> tags) const;

    std::string path_;
};

}  // namespace imgbuild::registry
