// Makes a layer's tree: an unpacked directory in the form that overlayfs takes as a lower directory (userxattr).
//
// Entries come in any order; a later one of the same path replaces the earlier, as tar does it. Parents that nobody
// described are made as implicit directories. A symbolic link of this layer on the way to an entry is followed inside
// the root, by our own records and not by the kernel: no link in the tree is ever followed. The tree's directory must
// be empty at the start and nobody else's until finish().
//
//     TreeWriter writer(tree);
//     writer.add({.path = "etc", .type = EntryType::directory, .mode = 0755});
//     writer.add_file({.path = "etc/motd", .mode = 0644, .size = 3}, source);
//     NameIndex names = writer.finish();          // goes beside the tree as the file `names`
//
// What an inode cannot take (devices, owners and attributes without privileges, attributes that the file system
// refuses) is kept in the index and the entry flagged `overridden`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "layers/entry.hpp"
#include "layers/file_content.hpp"
#include "layers/name_index.hpp"
#include "util/bytes.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

struct TreeOptions {
    /// Time of implicit directories, seconds since 1970.
    std::int64_t implicit_mtime = 0;
    /// A hard link gives its file its own owner, mode and time, as containerd and docker have it for the archives of
    /// ADD: the last name of a file says what it is like. By default it is the first.
    bool links_describe = false;
    /// How many make the copies of add_copy(Entry, LendFile), the caller's among them. Nothing else depends on it.
    unsigned threads = 1;
};

/// Opens a regular file, lends it to `copy` once, and throws if what was copied is not what it should be.
using LendFile = std::function<void(const std::function<void(const Extent& from)>& copy)>;

/// For one thread. After an exception the tree is unfinished and to be thrown away.
class TreeWriter {
public:
    /// Holds a duplicate of `tree`.
    explicit TreeWriter(const util::RootedDir& tree, TreeOptions options = {});
    ~TreeWriter();
    TreeWriter(const TreeWriter&) = delete;
    TreeWriter& operator=(const TreeWriter&) = delete;

    /// Everything but files with contents. A directory over a directory keeps what is in it and its opaque mark, and
    /// takes the new metadata; over anything else of this layer, also a whiteout, it becomes opaque. A hard link takes
    /// its file's metadata, not its own (but see TreeOptions; find() tells nothing of it until finish()); if this layer
    /// has no such file yet, it is external. Throws CorruptData
    /// ("corrupt.archive") if something on the way to the path is no directory, or a hard link is to a directory;
    /// IoError.
    void add(Entry entry);
    /// A regular file; `content` must yield exactly `entry.size` bytes, or it is CorruptData. Long runs of zeros become
    /// holes.
    void add_file(Entry entry, util::Source& content);
    /// A regular file with the contents of another one, or of a part of it (`entry.size` bytes), shared with a
    /// whole one where the file system can (reflink), otherwise copied.
    void add_copy(Entry entry, const Extent& from);
    /// The same, but `lend` is called when its turn comes, perhaps by another thread and after add_copy() has returned.
    /// What goes wrong is thrown by a later call that has to wait, by finish() at the latest: of several failures
    /// always the one of the earliest entry. Whoever destroys the writer before finish() waits for the copies that have
    /// begun, and only for these.
    void add_copy(Entry entry, LendFile lend);
    /// Waits for all copies.
    void wait();
    /// The directory (made implicit if it is not there) hides what lower layers have in it.
    void mark_opaque(std::string_view directory);

    /// The entry at `path` so far; null if there is none. Nothing on the way is followed (see resolve_parents). Of a
    /// copy it is not known yet whether it is `overridden`.
    const Entry* find(std::string_view path) const;
    /// `path` with the links of this layer on the way to its last component followed.
    /// Throws CorruptData for more than 40 links.
    std::string resolve_parents(std::string_view path) const;

    /// Sets the times of directories and hands over the names. Whiteouts in opaque directories, which hide nothing, go.
    /// Of hard-linked names the first in path order is the file. Call once, last.
    NameIndex finish();

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace imgbuild::layers
