// One name of a layer, with everything that a tar says about it except the contents.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

enum class EntryType : std::uint8_t {
    file,
    directory,
    symlink,
    hardlink,
    fifo,
    char_device,
    block_device,
    /// "This name is gone": hides what lower layers have there. The path is that of the hidden thing, without ".wh.".
    whiteout,
};

/// A value. The true metadata as it goes into a tar, whatever the inode in a tree could take of it.
struct Entry {
    /// Relative, "/"-separated, no empty, "." or ".." component, any bytes but NUL. "" is the root directory.
    std::string path;
    EntryType type = EntryType::file;
    /// Permissions with set-id and sticky bits (07777).
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    /// Whole seconds since 1970, may be negative.
    std::int64_t mtime = 0;
    /// Of the contents; of a hard link within the layer, as of its file. Zero for everything else.
    std::uint64_t size = 0;
    /// Symbolic link: its text, any bytes. Hard link: the path of its file in this layer (or below, see `external`).
    std::string link_target;
    std::uint32_t dev_major = 0;
    std::uint32_t dev_minor = 0;
    /// True names, as in SCHILY.xattr records; never overlayfs's own. A hard link within the layer has those of its
    /// file.
    util::Xattrs xattrs;
    /// Directory: hides everything that lower layers have in it.
    bool opaque = false;
    /// Directory that the layer needs on the way to something but says nothing about: it goes into no tar, and what
    /// lower layers say about it holds. Its own metadata are only for the case that they say nothing.
    bool implicit = false;
    /// The inode in the tree does not carry all of this (no privilege, or the file system cannot).
    bool overridden = false;
    /// Hard link whose file lies in a lower layer. There is no inode for it in the tree, and the metadata are unknown.
    bool external = false;

    friend bool operator==(const Entry&, const Entry&) = default;
};

/// Mode of a directory that nobody described.
inline constexpr std::uint32_t kImplicitMode = 0755;

/// Component by component, bytes within a component: a directory comes directly before what is in it.
/// Negative, zero, positive.
int compare_paths(std::string_view a, std::string_view b);

struct PathLess {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const { return compare_paths(a, b) < 0; }
};

/// The directory of `path` ("" for "a"), and its last component. Precondition of both: `path` is not the root.
std::string_view parent_path(std::string_view path);
std::string_view base_name(std::string_view path);
/// "a" and "b/c" are "a/b/c"; "" and "b" are "b".
std::string join_path(std::string_view directory, std::string_view name);
/// Is `path` in `directory`, at any depth? Nothing is inside itself; everything else is inside "".
bool is_inside(std::string_view path, std::string_view directory);

/// File capabilities as revision 2: what a user namespace adds to them (revision 3) means nothing in an image, and the
/// kernel takes no new ones of revision 1.
void normalise_capabilities(util::Xattrs& xattrs);

}  // namespace imgbuild::layers
