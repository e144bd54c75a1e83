#include "layers/block_reuse.hpp"

#include "layers/codec.hpp"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

namespace imgbuild::layers {
namespace {

// Member after member. Nothing may be left over: bytes after the last would be another blob.
bool inflate_gzip(std::span<const std::byte> compressed, std::span<std::byte> into) {
    const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
        libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
    if (!decompressor) throw std::bad_alloc();
    while (!compressed.empty()) {
        std::size_t taken = 0;
        std::size_t made = 0;
        if (libdeflate_gzip_decompress_ex(decompressor.get(), compressed.data(), compressed.size(), into.data(),
                                          into.size(), &taken, &made) != LIBDEFLATE_SUCCESS) {
            return false;
        }
        compressed = compressed.subspan(taken);
        into = into.subspan(made);
    }
    return into.empty();
}

bool inflate_zstd(std::span<const std::byte> compressed, std::span<std::byte> into) {
    // An error is a number larger than any size.
    return ZSTD_decompress(into.data(), into.size(), compressed.data(), compressed.size()) == into.size();
}

}  // namespace

BlockPrint print_of(std::span<const std::byte> block) {
    const std::uint64_t crc = libdeflate_crc32(0, block.data(), block.size());
    return {.sums = crc << 32 | libdeflate_adler32(1, block.data(), block.size()), .size = block.size()};
}

bool makes_block(const Codec& codec, std::span<const std::byte> compressed, std::span<const std::byte> block) {
    if (codec.kind == Codec::Kind::none) return std::ranges::equal(compressed, block);
    const auto room = std::make_unique_for_overwrite<std::byte[]>(block.size());
    const std::span<std::byte> plain(room.get(), block.size());
    const bool whole =
        codec.kind == Codec::Kind::gzip ? inflate_gzip(compressed, plain) : inflate_zstd(compressed, plain);
    return whole && std::memcmp(plain.data(), block.data(), block.size()) == 0;
}

}  // namespace imgbuild::layers
