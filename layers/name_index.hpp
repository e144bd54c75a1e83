// The names of one layer with their full metadata: all that a layer is, except the contents of its files.
//
// The file `names` in a layer's directory. It outlives the layer's tree and blob, so that later builds can resolve
// paths and users without fetching anything. Readers of a tree (pack, COPY, checksums) take metadata from here and only
// contents from the tree; so it does not matter what the builder's user or file system could store.
//
// Binary form, version 1 (integers are LEB128 varints, signed ones zigzag-coded, strings are length and bytes):
//     "imgnames" · version · number of entries · entries · passwd text · group text · sha256 of all before (32 bytes)
// The texts are 0, or 1 and a string. An entry, in path order:
//     bytes shared with the previous path · rest of the path · type (low 4 bits) and flags (opaque 16, implicit 32,
//     overridden 64, external 128) · mode · uid · gid · mtime · then size (file, hard link), link target (symbolic and
//     hard link), major and minor (devices) · number of xattrs · name and value of each, sorted
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/entry.hpp"

namespace imgbuild::layers {

/// Immutable once made; threads may share it (usually as std::shared_ptr<const NameIndex>).
class NameIndex {
public:
    /// No names: the empty layer.
    NameIndex() = default;
    /// Sorts. Throws CorruptData if a path is not clean or occurs twice, something lies in what is no directory of the
    /// index, a hard link's file is not here (unless external), or a name begins with ".wh." (layers cannot say it).
    /// `passwd`, `group`: contents of etc/passwd and etc/group where those are files of this layer.
    explicit NameIndex(std::vector<Entry> entries, std::optional<std::string> passwd = {},
                       std::optional<std::string> group = {});

    /// In path order.
    std::span<const Entry> entries() const { return entries_; }
    bool empty() const { return entries_.empty(); }
    const Entry* find(std::string_view path) const;
    /// Everything in `directory`, at any depth; without itself.
    std::span<const Entry> descendants(std::string_view directory) const;
    /// What lies directly in `directory`.
    std::vector<const Entry*> children(std::string_view directory) const;
    /// Implicit directories, in path order (the only ones whose metadata depend on other layers).
    std::span<const std::size_t> implicit() const { return implicit_; }

    const std::optional<std::string>& passwd() const { return passwd_; }
    const std::optional<std::string>& group() const { return group_; }

    /// For makers that read these files only once the names are in order.
    void set_user_files(std::optional<std::string> passwd, std::optional<std::string> group);

    std::string serialize() const;
    /// Throws CorruptData for everything that serialize() did not write.
    static NameIndex parse(std::string_view bytes);

    friend bool operator==(const NameIndex&, const NameIndex&) = default;

private:
    std::size_t lower_bound(std::string_view path) const;
    void check_and_note();

    std::vector<Entry> entries_;
    std::vector<std::size_t> implicit_;
    std::optional<std::string> passwd_;
    std::optional<std::string> group_;
};

/// passwd and group files beyond this size are not kept in an index (nor does anybody look up users in them).
inline constexpr std::size_t kMaxUserFileBytes = 1U << 20;
/// An index file larger than this is refused before it is read.
inline constexpr std::size_t kMaxIndexBytes = 1U << 30;

}  // namespace imgbuild::layers
