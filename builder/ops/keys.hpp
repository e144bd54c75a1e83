// What identifies the result of a node (DESIGN 3): canonical records whose digests are the cache keys, and which people
// can read when a step was not cached. Pure.
//
// A record begins with the version of its recipe. What is in a layer's bytes is in its key; what is not, is not:
// compressed digests, local ids, temporary names, the clock, host paths, and the times of files.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>

#include "builder/file_system.hpp"
#include "builder/graph.hpp"
#include "builder/ops/placement.hpp"
#include "builder/ops/selection.hpp"
#include "layers/store.hpp"

#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Ingredients that all layers of a build share.
struct KeyContext {
    Platform platform;
    /// An explicit SOURCE_DATE_EPOCH bounds the layers' times.
    std::optional<std::int64_t> time_limit;
    /// Which step it is, for finding relatives of a miss.
    std::string slot;
};

/// What an action or a mount reads: the checksum of what it selected from the user's files, or the layers of the node
/// that it copies from.
struct SourceIdentity {
    std::optional<Digest> checksum;
    std::vector<Digest> layers;
};

/// Of a command on top of `base`. `sources`: for each mount what it shows; nothing in it for mounts without a source.
/// Options of caches, secrets and agents are in the key, and what they hold is not.
layers::KeyRecord exec_key(const Exec& exec, const FileSystem& base, const KeyContext& context,
                           const std::vector<SourceIdentity>& sources = {});

/// What makes two caches different: id, seed, and the owner and mode of a new one (SPEC A6.02).
Digest cache_identity(const CacheMount& cache, const FileSystem& seed);

/// Whether the times of files are part of a checksum: where a copy has them.
enum class FileTimes { left_out, included };
/// The checksum of a selection: paths, types, modes, owners, link targets, attributes and contents.
/// `contents`: digests of the regular files in the order of files_of().
Digest selection_checksum(const Selection& selection, const std::vector<Digest>& contents,
                          FileTimes times = FileTimes::left_out);
/// The regular files of a selection, in its order.
std::vector<const SourceFileInfo*> files_of(const Selection& selection);

/// The definition key: the op as written, its sources, and the base that it is resolved against. `users`: what
/// file.users stands for.
layers::KeyRecord file_definition_key(const File& file, const std::vector<SourceIdentity>& sources,
                                      const FileSystem& base, const std::optional<FileSystem>& users,
                                      const KeyContext& context);
/// The content key: where everything goes, and the sources. Holds on any base on which the placement is the same.
layers::KeyRecord file_content_key(const Placement& placement, const std::vector<SourceIdentity>& sources,
                                   const FileSystem& base, const KeyContext& context);

}  // namespace imgbuild::builder
