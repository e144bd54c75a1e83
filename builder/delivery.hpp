// What becomes of the result of a graph: an image, every output of the request, and its place in the store.
#pragma once

#include "builder/build.hpp"
#include "builder/image.hpp"
#include "builder/images.hpp"
#include "builder/layer_forms.hpp"

#include <cstddef>
#include <stop_token>

namespace imgbuild::builder {

/// What a delivery works with; all of it must outlive the call.
struct DeliveryContext {
    const BuildRequest& request;
    const Services& services;
    Images& images;
    layers::Lease& lease;
    LayerForms& forms;
    std::stop_token stop;
    /// Number of the first step that it tells of; those of the graph come before.
    std::size_t first_step = 1;
};

/// Packs what the outputs want, writes and pushes them in their order, then keeps the image if somebody may want it
/// from the store. Each output is told as a step. Throws what the outputs throw; those before the one that failed are
/// done then.
BuildResult deliver(ImageDraft draft, const DeliveryContext& context);

}  // namespace imgbuild::builder
