// Getting an image into the store by its name, as `FROM` would, and keeping it there under that name.
#pragma once

#include "builder/build.hpp"

namespace imgbuild::builder {

/// Asks the registry even if the store has the name, fetches and unpacks what is missing. Returns the image's id.
Digest pull_image(const Reference& name, const Platform& platform, const Services& services, std::stop_token stop);

}  // namespace imgbuild::builder
