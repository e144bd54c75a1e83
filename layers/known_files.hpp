// What is remembered of the regular files that lie directly in one directory of the user's: by it a build in which
// nothing changed needs one look at each file, and no question to the index for each.
//
// A file is in it that has no attributes (access lists and capabilities among them), with what stat() said of it and
// the digest of its contents. Both hold as long as stat() says the same: whoever changes contents or attributes changes
// the ctime. That is only true of files which had not just been changed when they were looked at
// (layers/fingerprint.hpp), so only those are put in.
//
//     KnownFilesWriter writer;                                   // in the order of names
//     writer.add("a.c", fingerprint, digest);
//     store.remember_directories({{device, inode, writer.take()}});
//
//     KnownFiles known(device, store.find_directory(device, inode));
//     if (const auto digest = known.find("a.c", fingerprint)) …  // asked in the order of names as well
//
// It is memory and no more: bytes that make no sense are files that nobody knows. All files are on the directory's
// device; one that is not (a mount) is not remembered.
#pragma once

#include "layers/store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::layers {

class KnownFilesWriter {
public:
    /// Precondition: `name` comes after the one before, byte by byte.
    void add(std::string_view name, const FileFingerprint& file, const Digest& content);
    /// Empty if nothing was added.
    std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

class KnownFiles {
public:
    KnownFiles(std::uint64_t device, std::string bytes);

    /// What the file holds, if it was remembered in this state. Names that come before one that was asked for are not
    /// found any more.
    std::optional<Digest> find(std::string_view name, const FileFingerprint& file);

private:
    /// Moves on to the next file; false at the end.
    bool advance();
    std::string_view name() const { return std::string_view(bytes_).substr(name_at_, name_size_); }

    std::uint64_t device_;
    std::string bytes_;
    /// Where the file behind the current one begins.
    std::size_t next_;
    bool has_current_ = false;
    FileFingerprint file_;
    Digest::Bytes content_{};
    std::size_t name_at_ = 0;
    std::size_t name_size_ = 0;
};

}  // namespace imgbuild::layers
