// The questions of host_facts.hpp that can only be answered by trying.
#pragma once

#include <string>

#include "builder/sandbox/host_facts.hpp"

namespace imgbuild::sandbox {

/// Fills `ids`, `overlay`, `overlay_in_memory`, `mount_proc` and `steps` by letting a step init do the first operations
/// of a step in `scratch`, a directory below `facts.store`.
void probe_namespaces(const std::string& scratch, HostFacts& facts);

}  // namespace imgbuild::sandbox
