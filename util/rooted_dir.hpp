// Paths inside somebody else's tree: a root file system, a build context, an archive's target.
//
// Such trees are hostile: any component may be a symbolic link to "/etc" or to "../..", and may change while we
// look. So nobody joins strings below them. A RootedDir holds the tree's root as a descriptor and lets the kernel
// resolve (openat2 with RESOLVE_IN_ROOT: absolute links and ".." stay inside, magic links are refused). Everything
// after the resolution happens with *at calls on the parent's descriptor and one plain name.
//
// Paths given here are relative to the root, separated by "/"; a leading "/" is ignored, "" and "." are the root.
// Objects are immutable and may be used from several threads.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/fd.hpp"

namespace imgbuild::util {

enum class Follow { no, yes };

/// Extended attributes, name → value (bytes).
using Xattrs = std::map<std::string, std::string, std::less<>>;

/// A place in a tree: the directory that holds it, and one name without "/" (never "", "." or "..").
struct Place {
    Fd directory;
    std::string name;
};

struct DirEntry {
    std::string name;
    /// DT_… of dirent.h; DT_UNKNOWN where the file system does not say.
    unsigned char type;
};

class RootedDir {
public:
    explicit RootedDir(Fd root) : root_(std::move(root)) {}
    /// `path` is one of our own. Throws IoError.
    static RootedDir open(const std::string& path);

    int fd() const { return root_.get(); }
    RootedDir duplicate() const { return RootedDir(root_.duplicate()); }

    /// Opens `path` with `flags` (O_CLOEXEC is added); nothing if a component does not exist or is no directory.
    /// With Follow::no the last component, if a symbolic link, is not followed (give O_PATH to hold the link itself).
    /// O_CREAT is allowed. Throws IoError for everything else (ELOOP, EACCES …).
    std::optional<Fd> find(std::string_view path, int flags, Follow follow = Follow::yes, mode_t mode = 0) const;
    /// As find(), but absence is an IoError as well.
    Fd open_file(std::string_view path, int flags, Follow follow = Follow::yes, mode_t mode = 0) const;
    /// lstat or stat inside the root; nothing if it does not exist.
    std::optional<struct stat> stat(std::string_view path, Follow follow) const;
    /// The text of a symbolic link.
    std::string read_link(std::string_view path) const;
    /// The directory that holds `path`, links on the way followed inside the root. Throws IoError (ENOENT if it
    /// is not there), UsageError if the last component is "..", or `path` is the root.
    Place open_parent(std::string_view path) const;
    /// As open_parent(), and makes missing directories on the way with `mode` (exactly, whatever the umask).
    Place make_parent(std::string_view path, mode_t mode) const;
    /// A small file as a string; nothing if it does not exist. Throws beyond `limit` bytes and for no regular file.
    std::optional<std::string> read_file(std::string_view path, std::size_t limit) const;

private:
    Fd root_;
};

/// Names in a directory, sorted by bytes, without "." and "..".
std::vector<DirEntry> list_directory(int directory, std::string_view what);

/// Splits at "/", drops empty and "." components; ".." stays. The pieces of "a//./b/" are "a", "b".
std::vector<std::string_view> path_components(std::string_view path);
/// Pure arithmetic: "." and ".." resolved against "/", no leading or trailing "/". "" is the root.
std::string clean_path(std::string_view path);

/// All attributes of an open file (O_PATH descriptors work as well: they are read through /proc/self/fd).
Xattrs read_xattrs(int fd, std::string_view what);

/// The same of `name` in `directory` (of a symbolic link itself), in one system call if it has none (Linux 6.13).
Xattrs read_xattrs_at(int directory, const std::string& name, std::string_view what);

/// Removes `name` in `directory` and all that is below, following nothing. Absence is fine.
void remove_tree(int directory, const std::string& name);

}  // namespace imgbuild::util
