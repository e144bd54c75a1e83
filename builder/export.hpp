// Sending an image to where it was asked for: archives, layouts, registries, and under a name in the store.
#pragma once

#include "builder/archive_file.hpp"
#include "builder/build.hpp"
#include "builder/image.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Writes one output that takes the image. `names` are the output's, or if it has none the build's.
/// `mount_from(domain)` names repositories of that registry whose blobs the image may share. What was remembered of a
/// pushed name is forgotten.
void write_output(const Output& output, const PackedImage& image, std::span<const Reference> names,
                  const Services& services,
                  const std::function<std::vector<std::string>(const std::string&)>& mount_from, const Work& work);

/// The archive that an output asks for; nothing if it is of another kind.
std::unique_ptr<ArchiveFile> begin_archive(const Output& output);
/// Layouts and archives take whole names, and write both the tag and the name that containerd and docker look for.
std::vector<std::string> texts_of(std::span<const Reference> names);

/// Writes one output that takes the image's files (is_files()).
void write_files(const Output& output, const FileSystem& fs, const Platform& platform, LayerForms& forms,
                 const Work& work);

/// Makes the image known to the store, under its id and `names`. Of layers that were left at their registry it is
/// remembered where they are.
void keep_image(const Image& image, std::span<const Reference> names, layers::Store& store, layers::Lease& lease);

/// An image of the store, as a build has it; for pushing and exporting later.
Image load_image(const layers::ImageRecord& record, const Services& services);

}  // namespace imgbuild::builder
