// Checksums of the user's files, remembered between builds by what stat() says of them (DESIGN 3).
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/context/kept_contents.hpp"
#include "builder/context/source_tree.hpp"
#include "builder/work.hpp"
#include "layers/store.hpp"

#include <cstdint>
#include <vector>

namespace imgbuild::builder {

/// The sha256 of the contents of `files` (regular files of `tree`), in their order. Only those are read that the store
/// does not remember, on `threads` threads. Throws IoError; Error ("source.changed") for one that is no longer what it
/// was when it was looked at. Small ones of those that are read are put into `kept`, if that is wanted, by their
/// numbers in `files`. Precondition: none is a part of a larger file.
std::vector<Digest> content_checksums(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files,
                                      layers::Store& store, unsigned threads, const Work& work,
                                      KeptContents* kept = nullptr);

/// After a copy from `fd`, of which the checksum was taken at `read_at` or later: what was copied is what the checksum
/// speaks of. Costs one fstat(), but for a file that had just been written then, which is read again. Throws Error
/// ("source.changed"); IoError.
void require_unchanged(const SourceTree& tree, const SourceFileInfo& file, int fd, const Digest& checksum,
                       std::int64_t read_at);

}  // namespace imgbuild::builder
