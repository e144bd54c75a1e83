// The files of an image where they were asked for, and images of the store.
#pragma once

#include "builder/build.hpp"
#include "builder/image.hpp"

#include <span>

namespace imgbuild::builder {

/// Writes one output that takes the image's files (is_files()).
void write_files(const Output& output, const FileSystem& fs, const Platform& platform, LayerForms& forms,
                 const Work& work);

/// Makes the image known to the store, under its id and `names`. Of layers that were left at their registry it is
/// remembered where they are.
void keep_image(const Image& image, std::span<const Reference> names, layers::Store& store, layers::Lease& lease);

/// An image of the store, as a build has it; for pushing and exporting later.
Image load_image(const layers::ImageRecord& record, const Services& services);

}  // namespace imgbuild::builder
