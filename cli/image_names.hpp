// Finding the image that a user means.
#pragma once

#include "layers/store.hpp"

#include <string>

namespace imgbuild::cli {

/// By name (in any form) or by a prefix of the id. Throws UsageError ("usage.no-such-image").
layers::ImageRecord require_image(layers::Store& store, const std::string& text);

}  // namespace imgbuild::cli
