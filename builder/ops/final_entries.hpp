// What a placement comes to: the names of a layer that has no archives to unpack.
#pragma once

#include "builder/ops/placement.hpp"
#include "builder/ops/source_files.hpp"

#include <cstdint>
#include <vector>

namespace imgbuild::builder {

struct FinalEntry {
    layers::Entry entry;
    /// Where a regular file's contents come from; null for everything else.
    const PlacedEntry* placed = nullptr;
};

/// In path order, each path once: of several entries with one path the last is there. Directories on the way that
/// nobody describes are implicit. Names of one file of a source that come out alike are hard links to the first of
/// them. Times are at most `time`, and exactly that where a source's times mean nothing. Refers to `placement`.
/// Precondition: has_archives() is false.
std::vector<FinalEntry> final_entries(const Placement& placement, const SourceFiles& files, std::int64_t time);

/// Which names an archive has is known only once it is unpacked.
bool has_archives(const Placement& placement);

}  // namespace imgbuild::builder
