// Moves names of a layer that go through a symbolic link of a lower layer to where the link leads. Private to layers/.
//
// An archive may say "lib/x" without saying what "lib" is. Where the layers below have a link lib → usr/lib, applying
// the layer puts the file into usr/lib. Only directories that the layer leaves implicit are affected: one that it
// describes replaces the link.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "layers/name_index.hpp"

namespace imgbuild::layers {

struct MovedNames {
    NameIndex names;
    /// Moved path → path in the layer's tree.
    std::map<std::string, std::string, PathLess> origin;
    /// Outermost implicit directories that stand where a link is.
    std::vector<std::string> links;
};

/// Where the link at a path leads (all links followed, through what the layer itself puts there); nothing if the layers
/// below have no link there.
using LinkOf = std::function<std::optional<std::string>(const std::string& path)>;

/// Nothing if no name has to be moved. Where a moved name meets one that the layer says itself, the latter stays.
std::optional<MovedNames> move_names(const NameIndex& names, const LinkOf& link_of);

}  // namespace imgbuild::layers
