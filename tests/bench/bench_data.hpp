// What the microbenchmarks work on: bytes from a seed, and trees of small files on the disk.
#pragma once

#include "util/files.hpp"
#include "util/rooted_dir.hpp"

#include <cstddef>
#include <string>

namespace imgbuild::bench {

/// Compresses to about half, as programs and documents do. The same bytes every time.
std::string text(std::size_t size);
/// Does not compress.
std::string noise(std::size_t size);

/// `files` files of `size` bytes of text, a hundred in a directory, below TMPDIR; gone with the object.
class TreeOnDisk {
public:
    TreeOnDisk(std::size_t files, std::size_t size);

    const std::string& path() const { return directory_.path(); }
    util::RootedDir root() const { return util::RootedDir::open(path()); }
    /// Gives every file and directory the time of now, as a step does that writes them.
    void touch() const;

private:
    util::TempDir directory_;
};

}  // namespace imgbuild::bench
