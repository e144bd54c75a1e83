// The contents of one file, into a new file of a tree or of an output.
#pragma once

#include <cstdint>
#include <string>

#include "util/bytes.hpp"

namespace imgbuild::layers {

/// Exactly `size` bytes of `content` into the new, empty file `fd`; long runs of zeros become holes. CorruptData if
/// `content` has fewer or more.
void write_content(int fd, util::Source& content, std::uint64_t size, const std::string& path);
/// The first `size` bytes of the regular file `from`, shared if the file system can, holes kept. CorruptData
/// ("corrupt.changed") if it has another size.
void copy_content(int from, int to, std::uint64_t size, const std::string& path);

}  // namespace imgbuild::layers
