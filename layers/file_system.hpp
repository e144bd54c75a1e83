// Which file systems a store can lie on: those whose locks hold between all who see it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::layers {

/// The name of a file system ("NFS") on which locks and shared memory of several processes cannot be relied on; nothing
/// for one that can hold a store. Pure.
/// `magic`: f_type of statfs(2). `type`: the type in /proc/self/mountinfo, such as "fuse.sshfs"; only FUSE is told
/// apart by it, since that is a program's own file system as well as a disk far away.
std::optional<std::string> unreliable_file_system(std::uint64_t magic, std::string_view type);

/// Throws Error ("store.network") if the store at `root`, which need not exist yet, would lie on such a file system.
void require_reliable_file_system(const std::string& root);

}  // namespace imgbuild::layers
