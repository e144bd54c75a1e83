// Writes the tars whose digests are diff ids. The bytes are the product: they follow from the entries alone, and a
// change here changes the identity of every image. The layout is spelled out in docs/layer-format.md and pinned by
// golden digests in the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layers/entry.hpp"
#include "util/bytes.hpp"

namespace imgbuild::layers {

/// Where a tar goes: its bytes, and between them the places by which it may be cut into blocks.
class TarStream : public util::Sink {
public:
    /// The headers of the entry `path` come next.
    virtual void begin_entry(std::string_view path) = 0;
    /// `size` bytes of a file's contents come next.
    virtual void begin_content(std::uint64_t size) = 0;
};

class TarWriter {
public:
    explicit TarWriter(TarStream& out) : out_(out) {}

    /// Everything but files with contents. Whiteouts become ".wh." files, an opaque directory is followed by its mark.
    /// An implicit directory is not written (its opaque mark is). Throws Error ("layers.bad-name", "layers.bad-xattr")
    /// for what a tar cannot say.
    void add(const Entry& entry);
    /// A regular file; `content` must yield exactly `entry.size` bytes, or it is CorruptData.
    void add_file(const Entry& entry, util::Source& content);
    /// The headers of a regular file alone. For who asks where contents would lie, and writes no tar.
    void add_file_headers(const Entry& entry);
    /// The end mark: two zero blocks. Call once, last.
    void finish();

private:
    void write_headers(const Entry& entry, std::string_view name, char type);
    void write_mark(const Entry& like, const std::string& name);

    static constexpr std::size_t kBufferBytes = 256U << 10;
    TarStream& out_;
    std::vector<std::byte> buffer_;
};

}  // namespace imgbuild::layers
