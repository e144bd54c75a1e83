// The attributes that an inode of a tree has beside those of its entry: overlayfs's, and ours. Private to layers/.
//
// Readers of a tree take metadata from the name index. But a step sees the tree through an overlay, which knows no
// index: when the step touches or moves a file of a lower tree, the inode is copied with its attributes into the upper
// directory, and what it carries is all that scan_upper() learns. So what an inode cannot be is noted on it as well,
// where the kernel lets us (files and directories; not links and fifos):
//
//   user.imgbuild.device         "c 1 3": an empty file that stands for a device; as every device does in our trees
//   user.imgbuild.owner          "4000000000 12 65534 12": the true owner and group, and those of the inode at that
//                                time. An id holds while the inode has the one noted; a change of owner is newer.
//   user.imgbuild.held.<name>    an attribute that cannot be there under its own name
//
// A step with the rights of root may set them itself, which gives it nothing that mknod, chown and setfattr would not;
// from others the sandbox keeps them (docs/sandbox.md).
//
// overlayfs (mounted with `userxattr`) has user.overlay.*. Spec: kernel Documentation/filesystems/overlayfs.rst.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "layers/entry.hpp"

namespace imgbuild::layers {

inline constexpr const char* kOpaqueXattr = "user.overlay.opaque";
/// On an empty file: a whiteout in the form that can be made in an overlay, too (Linux 6.7). Only looked for in
/// directories whose opaque mark is "x", and in layers whose root has that.
inline constexpr const char* kWhiteoutXattr = "user.overlay.whiteout";
inline constexpr const char* kDeviceMark = "user.imgbuild.device";
inline constexpr const char* kOwnerMark = "user.imgbuild.owner";

/// Who owns what cannot belong to its true owner: what the kernel shows for ids that it cannot. Not root, since the
/// file may be set-user-ID.
inline constexpr std::uint32_t kStandInId = 65534;

/// Ids from here on belong to nobody in a tree, whoever builds: root's steps have their ids shifted, and these would be
/// beyond all ids then (sandbox/worker.hpp). All ones means "no change" to chown(2) besides.
inline constexpr std::uint32_t kTreeIds = 0x7fff0000;

/// The name under which an attribute lies in a tree. overlayfs hides "user.overlay.x" as its own and shows
/// "user.overlay.overlay.x" as "user.overlay.x". Held are our own names, "trusted.*", which a user namespace has not,
/// and "security.*" except capabilities: overlayfs could not copy them up in a user namespace, and would refuse any
/// change of the file.
std::string stored_name(std::string_view name);
/// The name under which an attribute is held that the kernel refused under its own.
std::string held_name(std::string_view name);
bool is_held(std::string_view stored);
/// The reverse of both; nothing for an attribute that is overlayfs's own or a mark.
std::optional<std::string> true_name(std::string_view stored);

/// `entry`: a device.
std::string device_mark(const Entry& entry);
/// Makes `entry` the device that the mark says; false if it says none.
bool apply_device_mark(std::string_view mark, Entry& entry);

struct OwnerMark {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint32_t inode_uid = 0;
    std::uint32_t inode_gid = 0;

    std::string text() const;
    static std::optional<OwnerMark> parse(std::string_view text);
    friend bool operator==(const OwnerMark&, const OwnerMark&) = default;
};

}  // namespace imgbuild::layers
