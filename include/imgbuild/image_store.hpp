// The images that a store has: list, inspect, name, remove, export, push, pull.
//
//     const imgbuild::ImageStore store;
//     for (const imgbuild::ImageInfo& image : store.list()) std::cout << image.id.text() << '\n';
//     store.push("app:1", imgbuild::Reference::parse("registry.example/team/app:1"));
//
// An image is asked for by a name ("app:1" is docker.io/library/app:1), or by at least 4 digits of its id, with or
// without "sha256:". One that is not there is UsageError ("usage.no-such-image").
#pragma once

#include <imgbuild/build.hpp>

#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild {

/// One image of the store.
struct ImageInfo {
    /// The digest of `config`.
    Digest id;
    /// Sorted; may be empty.
    std::vector<Reference> names;
    /// The image's own time, seconds since 1970.
    std::int64_t created = 0;
    /// Bytes of all layers, uncompressed.
    std::uint64_t size = 0;
    /// Oldest first.
    std::vector<DiffId> layers;
    /// JSON, byte by byte as it is digested. Spec: image-spec config.md.
    std::string config;
};

/// A store, by the options of a worker. Holds nothing open; every call is a worker of its own (some milliseconds).
/// Copyable; any number of threads may call. Calls throw as build() does.
class ImageStore {
public:
    explicit ImageStore(WorkerOptions worker = {}) : worker_(std::move(worker)) {}

    /// Newest first.
    std::vector<ImageInfo> list() const;
    ImageInfo inspect(const std::string& image) const;
    /// Gives an image another name; from an image that had it the name moves. Throws UsageError for one with a digest.
    void tag(const std::string& image, const Reference& name) const;
    /// By a name: the name goes, and the image with its last one. By an id: the image goes with all its names. What the
    /// cache has of it stays until it is pruned.
    void remove(const std::string& image) const;

    /// Writes the image as an archive or a layout, under these names. Returns the manifest's digest.
    Digest export_to(const std::string& image, const Output& output, const std::vector<Reference>& names = {},
                     ProgressSink* progress = nullptr, std::stop_token stop = {}) const;
    /// Returns the digest of the manifest in the registry.
    Digest push(const std::string& image, const Reference& name, const Compression& compression = {},
                ProgressSink* progress = nullptr, std::stop_token stop = {}) const;
    /// Fetches an image from its registry, which is asked even if the store has the name. Without a platform: that of
    /// this machine.
    ImageInfo pull(const Reference& name, const std::optional<Platform>& platform = {},
                   ProgressSink* progress = nullptr, std::stop_token stop = {}) const;

private:
    WorkerOptions worker_;
};

}  // namespace imgbuild
