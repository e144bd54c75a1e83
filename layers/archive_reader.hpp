// Reads a tar that somebody else made.
//
// Understood: ustar, the old format before it, pax, GNU (long names, base-256 numbers), and sparse files of GNU and pax
// (0.0, 0.1, 1.0). The parser is ours and not libarchive's, which converts pax names to the character set of the locale
// and so cannot hand through a name that is not UTF-8; names are bytes here. libarchive still undoes bzip2 and xz.
//
// Everything foreign is bounded (ArchiveLimits) and judged: bad checksums, names with "..", numbers out of range, short
// files are CorruptData ("corrupt.archive"), too much of anything is "corrupt.archive-limit".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>

#include "layers/entry.hpp"
#include "layers/limits.hpp"
#include "util/bytes.hpp"

namespace imgbuild::layers {

/// How names with a leading "/" are taken. ".." is refused in both, "./" is dropped in both.
enum class AbsoluteNames {
    /// Image layers: refused (a bare "/" is the root directory, as some builders write it).
    refuse,
    /// ADD and contexts: the "/" is dropped, as tar does. Entries that are no directory and whose name comes to nothing
    /// are handed out with an empty path (some tools write such headers); the caller skips them, as others do.
    strip,
};

/// One pass over a tar. Not for several threads.
class ArchiveReader {
public:
    /// `tar` is uncompressed (see decompress.hpp) and must outlive the reader.
    ArchiveReader(util::Source& tar, AbsoluteNames absolute, ArchiveLimits limits = {}, std::stop_token stop = {});
    ~ArchiveReader();
    ArchiveReader(const ArchiveReader&) = delete;
    ArchiveReader& operator=(const ArchiveReader&) = delete;

    /// The next entry, null at the end of the archive (two zero blocks, or the end of the bytes at an entry's place).
    /// The caller may move from it; it is gone with the next call. Contents not read are skipped. Whiteouts are not
    /// known here: ".wh.x" is a file. Sub-second times are cut to whole seconds, towards the past.
    Entry* next();
    /// The contents of the current entry: exactly `size` bytes, holes as zeros. Empty for all but files.
    util::Source& content();
    /// Reads `tar` to its end, so that a digest around it is that of all bytes.
    void drain();

private:
    class State;
    std::unique_ptr<State> state_;
};

/// Do these first bytes of a file (512 are wanted) begin a tar, judged by the checksum of its first header?
bool looks_like_tar(std::span<const std::byte> head);

/// Is this a tar, plain or compressed in a way that `open_compressed` knows? That is what ADD unpacks. Reads no more of
/// `file` than it needs to see the first header; anything unreadable is simply no archive.
bool looks_like_archive(util::Source& file);

}  // namespace imgbuild::layers
