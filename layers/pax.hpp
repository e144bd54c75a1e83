// Extended headers of a tar: "length key=value\n", many times. Private to layers/. Spec: POSIX pax §Extended Header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/rooted_dir.hpp"

namespace imgbuild::layers::tar {

/// A run of real data in a sparse file.
struct Segment {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// What extended headers (of pax and of GNU) say about the next entry; what is absent is as the plain header says.
struct Extended {
    std::optional<std::string> path;
    std::optional<std::string> link;
    std::optional<std::uint64_t> size;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    std::optional<std::int64_t> mtime;
    std::optional<std::uint32_t> dev_major;
    std::optional<std::uint32_t> dev_minor;
    util::Xattrs xattrs;

    // Sparse files (GNU.sparse.*).
    std::optional<std::uint64_t> real_size;
    std::optional<std::string> real_name;
    std::vector<Segment> segments;
    /// 1.0: the map stands before the data.
    bool map_in_data = false;
    bool sparse() const { return real_size.has_value() || map_in_data; }
};

/// Adds the records of one extended header. Throws CorruptData ("corrupt.archive") for malformed ones, and beyond
/// `max_segments`.
void read_pax(std::string_view records, std::size_t max_segments, Extended& into);

/// A decimal number; throws CorruptData that names `what`.
std::uint64_t parse_decimal(std::string_view digits, std::string_view what);

}  // namespace imgbuild::layers::tar
