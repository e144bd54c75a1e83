// Makes inodes of a tree and gives them their metadata. Private to layers/.
//
// Paths are those of our own records: no component but the last is a link, which the kernel is told to insist on
// (RESOLVE_NO_SYMLINKS), so nothing outside of the tree can be reached even if a record were wrong.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "layers/entry.hpp"
#include "layers/file_content.hpp"
#include "util/bytes.hpp"
#include "util/fd.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

/// Whether an inode could take all of an entry's metadata.
enum class Stored { fully, partly };

/// The owner that an inode has got; another than its entry's if `partly`.
struct GivenOwner {
    Stored stored = Stored::fully;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

/// Where a file is to be made, and how. Its directory stays open.
struct FilePlace {
    std::shared_ptr<const util::Fd> directory;
    std::string name;
    /// It will have the entry's owner without being given it.
    bool born_right;
};

/// For one thread, except make_copy().
class TreeInodes {
public:
    explicit TreeInodes(const util::RootedDir& tree);

    /// Precondition of all: the parent exists and the name does not. Metadata without times and default ACLs of
    /// directories.
    Stored make_directory(const Entry& entry);
    /// Again, for one that exists (also the root): mode, owner and attributes; those it had and should not are removed.
    Stored describe_directory(const Entry& entry);
    void set_opaque(const Entry& directory);
    Stored make_symlink(const Entry& entry);
    /// Fifos, whiteouts, and what stands for devices: never a node. Where one can be made at all, a step that touches
    /// it could not (overlayfs would have to make it again, without the rights), and on an overlay of the first user
    /// namespace it would be this machine's device.
    Stored make_node(const Entry& entry);
    void make_hardlink(const std::string& file, const std::string& path);
    /// `content` must yield exactly `entry.size` bytes; null if the file is empty.
    Stored make_file(const Entry& entry, util::Source* content);
    FilePlace place_file(const Entry& entry);
    /// Any thread may call it, beside all other calls but those for the same name and its directory's description.
    Stored make_copy(const FilePlace& at, const Entry& entry, const Extent& from) const;
    /// For a file or link that exists: another owner, mode and time. Attributes are set, none is removed.
    Stored describe_again(const Entry& entry);

    void remove(const std::string& path);
    /// When everything is in it, since it would pass to what is made later.
    Stored set_default_acl(const Entry& directory);
    void set_directory_time(const Entry& directory);

private:
    struct Name {
        int directory;
        std::string name;
    };
    Name place(const std::string& path);
    const std::shared_ptr<const util::Fd>& parent_of(const std::string& path);
    util::Fd open_directory(const std::string& path, int flags) const;
    /// Whether a new inode has the entry's owner without being given it.
    bool is_born_right(const Entry& entry) const;
    Stored describe_file(const util::Fd& fd, const Entry& entry, bool born_right) const;
    Stored describe_at(const Name& at, const Entry& entry);
    Stored describe_owned(const Name& at, const Entry& entry, const GivenOwner& owner);
    void make_whiteout_file(const Entry& entry);
    void mark_whiteouts_in(const std::string& directory);

    util::RootedDir tree_;
    /// Directories in which something was made; entries of an archive need not be sorted.
    std::unordered_map<std::string, std::shared_ptr<const util::Fd>> parents_;
    /// Bits that a new file does not get by its creation.
    const mode_t umask_;
    /// A directory with the set-group-id bit gives its group to what is made in it.
    bool groups_pass_ = false;
};

}  // namespace imgbuild::layers
