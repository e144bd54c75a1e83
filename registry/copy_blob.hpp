// Moving a blob's bytes with an eye on the stop token.
#pragma once

#include "oci/descriptor.hpp"
#include "util/bytes.hpp"

#include <stop_token>
#include <string>

namespace imgbuild::registry {

/// Copies all of `from`, verified against `blob`. Throws CorruptData that names `what`; Cancelled.
void copy_blob(const oci::Descriptor& blob, util::Source& from, util::Sink& into, const std::string& what,
               const std::stop_token& stop);

}  // namespace imgbuild::registry
