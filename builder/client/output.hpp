// Parts of requests that building and the image store share: the facade's values as the builder's.
#pragma once

#include <imgbuild/build.hpp>

#include "builder/build.hpp"

#include <string>
#include <vector>

namespace imgbuild::client {

/// What goes with a request as descriptors, and which is which in the worker.
struct Descriptors {
    std::vector<std::string> names;
    std::vector<int> fds;
};

/// Throws UsageError ("usage.bad-output") for an output that goes nowhere, and for a second one to a descriptor.
builder::Output to_builder(const Output& output, Descriptors& descriptors);
layers::Codec to_builder(const Compression& compression);

/// Throws UsageError ("usage.bad-reference"): the digest of a name that an image gets is known to the build only.
void require_no_digest(const Reference& name);

}  // namespace imgbuild::client
