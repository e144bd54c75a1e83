// Where the files of a File op go: the pure half of COPY, ADD and WORKDIR.
//
// A placement is the list of entries that the layer will have, final paths and metadata included, each with the place
// of its contents. It depends on the base only through what the destination's path meets there (links, directories,
// names in etc/passwd), and so says exactly what the layer's bytes follow from: its checksum is the op's content key
// (DESIGN 3). Parents that exist below are not written.
#pragma once

#include "builder/context/source_tree.hpp"
#include "builder/graph.hpp"
#include "builder/ops/selection.hpp"
#include "layers/chain_view.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace imgbuild::builder {

/// Contents from a source tree; `action` says from which action's. `file` is an element of its selection.
struct FromSource {
    std::size_t action = 0;
    const SourceFileInfo* file = nullptr;
};
struct FromText {
    std::string text;
};
/// An archive that is unpacked below the entry (a directory).
struct FromArchive {
    std::size_t action = 0;
    const SourceFileInfo* file = nullptr;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> owner;
};

struct PlacedEntry {
    layers::Entry entry;
    std::variant<std::monostate, FromSource, FromText, FromArchive> content;
};

struct Placement {
    /// In the order in which they are written; a later entry of the same path replaces the earlier.
    std::deque<PlacedEntry> entries;
    /// What the user may not have meant.
    std::vector<std::string> warnings;
};

/// Is the file an archive that ADD unpacks? Asked for regular files only.
using IsArchive = std::function<bool(std::size_t action, const SourceFileInfo& file)>;

/// `selections` has one element per action (empty for those that are no CopyFiles). Names of owners are looked up in
/// `users`, which is `base` but for layers that stand on nothing. Every time in the result is
/// `layer_time`. The result refers to `selections`. Throws Error: "build.unknown-user", "build.bad-destination" (a
/// directory would replace a file or the reverse), "parse.bad-value".
Placement place_files(const File& file, const std::vector<Selection>& selections, const layers::ChainView& base,
                      const layers::ChainView& users, const IsArchive& is_archive);
Placement place_files(const File&, std::vector<Selection>&&, const layers::ChainView&, const layers::ChainView&,
                      const IsArchive&) = delete;

/// Numbers for an owner as written, from the texts of the base's etc/passwd and etc/group. A group that is not given is
/// that of a user by name, and for a number the same number. Throws Error ("build.unknown-user",
/// "build.unknown-group").
std::pair<std::uint32_t, std::uint32_t> resolve_owner(const OwnerText& owner, const layers::ChainView& base);

}  // namespace imgbuild::builder
