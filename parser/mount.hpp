// RUN --mount options with their values known. Spec: SPEC.md A6.
#pragma once

#include "parser/expand.hpp"
#include "parser/instructions.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::parser {

enum class MountType { bind, cache, tmpfs, secret, ssh };
enum class CacheSharing { shared, exclusive, locked };

/// Defaults are those of SPEC A6; what a type does not have is refused, never ignored.
struct Mount {
    MountType type = MountType::bind;
    /// Where it appears, relative to the working directory; empty: on the working directory itself (bind, cache,
    /// tmpfs), nowhere (secret with env), at the default place of sockets (ssh). Never "/" as it is written, but the
    /// caller must refuse what becomes "/" with the working directory.
    std::string target;
    /// bind, cache: path inside `from`. Empty: its root.
    std::string source;
    /// bind, cache: stage, named context or image; empty: the build context (bind), nothing (cache).
    std::string from;
    bool read_only = true;
    /// cache, secret, ssh. Never empty for them: the default of the type is filled in.
    std::string id;
    /// cache only ("private" is CacheSharing::exclusive).
    CacheSharing sharing = CacheSharing::shared;
    /// cache, secret, ssh: permission bits of the directory, file or socket.
    std::optional<std::uint32_t> mode;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    /// tmpfs: bytes; 0 is the kernel's default.
    std::uint64_t size = 0;
    /// secret, ssh: its absence fails the step.
    bool required = false;
    /// secret: name of the environment variable that holds it; empty: a file only.
    std::string env;
    Span span;
};

std::string_view mount_type_name(MountType type);

/// Splits "type=bind,source=a,\"target=b,c\"" by the rules of CSV. Throws Error
/// "parse.bad-flag-value".
MountFlag parse_mount_flag(std::string_view text, Span span);

/// Expands the values and checks that they make sense together. Throws Error "parse.bad-mount" (and what the
/// expander throws), located in `file`.
Mount resolve_mount(const MountFlag& flag, const WordExpander& expander,
                    const std::shared_ptr<const SourceFile>& file = {});

}  // namespace imgbuild::parser
