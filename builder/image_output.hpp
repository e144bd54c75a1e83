// Where an image goes as blobs and a manifest: an archive, a layout, a registry.
//
//     const auto output = begin_output(wanted, names, services, mount_from);
//     auto blobs = pack_layers(fs, forms, packing, threads, work, output->early());   // if they are still to be packed
//     output->finish(list_blobs(image, std::move(blobs), forms, packing), work);
#pragma once

#include "builder/build.hpp"
#include "builder/packed_image.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace imgbuild::builder {

class ImageOutput {
public:
    virtual ~ImageOutput() = default;

    /// Takes layers as soon as they are packed. Null: it wants to know the manifest first.
    virtual oci::BlobSink* early() { return nullptr; }
    /// What is not there yet, the manifest last; nobody sees the image before. Call once. Throws as send_image(), and
    /// IoError.
    virtual void finish(const PackedImage& image, const Work& work) = 0;
};

/// Repositories of the registry at `domain` whose blobs an image may share.
using MountFrom = std::function<std::vector<std::string>(const std::string& domain)>;

/// Precondition: the output takes an image (not is_files()), and not into the store. `names` are the output's, or if it
/// has none the build's. What was remembered of a pushed name is forgotten. `services` must outlive the result.
std::unique_ptr<ImageOutput> begin_output(const Output& output, std::span<const Reference> names,
                                          const Services& services, const MountFrom& mount_from);

}  // namespace imgbuild::builder
