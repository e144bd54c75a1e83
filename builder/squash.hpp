// Several layers as one (`--squash`): what they change together, without what later ones of them hide of earlier ones.
#pragma once

#include "builder/file_system.hpp"
#include "builder/layer_forms.hpp"
#include "builder/work.hpp"
#include "oci/image_config.hpp"

namespace imgbuild::builder {

enum class Squash {
    no,
    /// The layers above the base image become one.
    added,
    /// All layers become one, those of the base image too.
    all,
};

/// `fs` with the layers that `which` means as one; as it is if they are fewer than two.
/// The new layer's key has the identities of all that it is made of.
FileSystem squash(const FileSystem& fs, Squash which, LayerForms& forms, const Work& work);

/// The history of an image whose layers from number `first` on became one: instructions stay told, and the last one has
/// the layer.
void squash_history(oci::ImageConfig& config, std::size_t first);

}  // namespace imgbuild::builder
