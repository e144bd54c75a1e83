// Looks for what is wrong with a store, and repairs it: rows without objects, objects without rows, bytes that are not
// what their digest says, trees that are not what was recorded of them, and what dead processes left.
//
// Repairing never guesses: what cannot be shown to be right is removed, and the next build makes it again. Only a blob
// without a row is taken in, if its bytes are what its name says.
//
// Safe beside running builds: rows and objects are compared while no transaction of anybody's is open, and what is
// looked at closely is pinned meanwhile.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::layers {

struct FsckOptions {
    bool repair = false;
    /// Packs each tree that was made here and whose diff id is known, to see that its contents are still those.
    bool deep = false;
    std::stop_token stop;
};

struct FsckFinding {
    /// Stable, for programs: "layer-lost", "blob-damaged", … (docs/cli/fsck.md has all).
    std::string problem;
    /// What has it: a layer's id, a digest, a path below the store.
    std::string object;
    /// For people.
    std::string detail;
    bool repaired = false;
};

struct FsckReport {
    std::uint64_t images = 0;
    std::uint64_t layers = 0;
    std::uint64_t blobs = 0;
    /// In the order of the search.
    std::vector<FsckFinding> findings;

    /// Nothing is wrong any more.
    bool good() const;
};

/// Checks the store at `root`, which is made if there is none. An index that SQLite cannot read is set aside by a
/// repair, unless a build is running. Throws IoError, Cancelled; Error ("store.too-new", "store.network").
FsckReport fsck(const std::string& root, const FsckOptions& options);

}  // namespace imgbuild::layers
