// What manifests, indexes and layouts have in common when written as JSON. Internal to oci/ and to the readers of
// layouts in registry/.
#pragma once

#include "oci/descriptor.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace imgbuild::oci {

/// Throws CorruptData with `code` that names `what`, or "registry.unsupported-digest".
Descriptor descriptor_from_json(const nlohmann::json& value, std::string what, std::string_view code);
nlohmann::json descriptor_to_json(const Descriptor& descriptor);

}  // namespace imgbuild::oci
