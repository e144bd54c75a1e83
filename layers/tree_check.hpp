// Is a layer's tree what its name index says? Private to layers/.
#pragma once

#include "layers/name_index.hpp"
#include "util/rooted_dir.hpp"

#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::layers {

/// Compares names, kinds, sizes of files and texts of links, not contents: the first difference, in words; nothing if
/// there is none. Throws IoError, Cancelled.
std::optional<std::string> find_tree_damage(const NameIndex& names, const util::RootedDir& tree,
                                            const std::stop_token& stop);

}  // namespace imgbuild::layers
