// The blocks of a tar as they lie in the file. Private to layers/. Spec: POSIX pax §ustar Interchange Format.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgbuild::layers::tar {

inline constexpr std::size_t kBlock = 512;

struct Header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char linkname[100];
    char magic[6];
    char version[2];
    char uname[32];
    char gname[32];
    char dev_major[8];
    char dev_minor[8];
    char prefix[155];
    char unused[12];
};
static_assert(sizeof(Header) == kBlock);

/// Zeros between the end of `size` bytes and the next block.
constexpr std::size_t padding(std::uint64_t size) {
    return static_cast<std::size_t>((kBlock - size % kBlock) % kBlock);
}

/// The sum of all bytes, those of the checksum field taken as blanks. Some old programs summed signed characters.
struct Checksum {
    std::uint64_t as_unsigned = 0;
    std::int64_t as_signed = 0;
};
Checksum checksum(const Header& header);

}  // namespace imgbuild::layers::tar
