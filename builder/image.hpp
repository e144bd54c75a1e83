// From the result of a graph to an image: config, manifest, and the blobs that go with it.
#pragma once

#include "builder/file_system.hpp"
#include "builder/layer_forms.hpp"
#include "builder/work.hpp"
#include "layers/codec.hpp"
#include "oci/blobs.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// The image's own time (DESIGN 6) where nothing says another: that of the newest layer.
std::int64_t newest_time(const FileSystem& fs, std::optional<std::int64_t> limit);

/// A config with its diff ids and times. Its text is what the image id digests.
struct Image {
    Digest id;
    oci::ImageConfig config;
    std::string config_text;
    FileSystem fs;
    std::int64_t time = 0;
};

/// All of an image but what is known when its layers are packed.
struct ImageDraft {
    oci::ImageConfig config;
    FileSystem fs;
    std::int64_t time = 0;
};

/// Fills in diff ids and times. Layers without a diff id are packed to nowhere for it; so who wants blobs packs first.
Image finish_image(ImageDraft draft, LayerForms& forms, unsigned threads, const Work& work);

}  // namespace imgbuild::builder
