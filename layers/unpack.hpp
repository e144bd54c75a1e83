// blob → tree. Spec: image-spec layer.md; of its open points: whiteouts hide only lower layers, in whatever order they
// come (a name that is in the same layer stays, and if it is a directory it becomes opaque); a bare ".wh." names no
// file and is refused; names beginning with ".wh..wh." are bookkeeping of aufs and left out; hard links to files that
// this layer does not have are for the layers below (see patch.hpp).
#pragma once

#include <imgbuild/digest.hpp>

#include <cstdint>
#include <stop_token>

#include "layers/limits.hpp"
#include "layers/name_index.hpp"
#include "util/bytes.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

struct UnpackResult {
    NameIndex names;
    /// Of the uncompressed tar, all its bytes.
    DiffId diff_id;
    /// Bytes of the uncompressed tar.
    std::uint64_t tar_size = 0;
};

/// Unpacks the layer `blob` (plain, gzip or zstd by its first bytes) into the empty directory `tree`, in one pass.
/// `blob` is read to its end, by another thread; verifying it is the caller's wrapper (util::VerifyingSource). Layers
/// need nothing of each other, so several may be unpacked at once. Throws CorruptData for hostile or damaged archives,
/// IoError, Cancelled; the tree is then to be thrown away. `implicit_mtime`: the time of directories that the tar
/// leaves implicit, seconds since 1970.
UnpackResult unpack_layer(util::Source& blob, const util::RootedDir& tree, const ArchiveLimits& limits = {},
                          std::stop_token stop = {}, std::int64_t implicit_mtime = 0);

}  // namespace imgbuild::layers
