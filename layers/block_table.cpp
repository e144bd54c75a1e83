#include "layers/block_table.hpp"

#include <imgbuild/error.hpp>

#include "layers/store_access.hpp"

#include <libdeflate.h>

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kLeastBlock = 128U << 10;
// A layer's blocks mostly come from one or two blobs.
constexpr std::size_t kOpenBlobs = 16;

std::uint32_t checksum_of(std::span<const std::byte> bytes) {
    return libdeflate_crc32(0, bytes.data(), bytes.size());
}

// Fewer bytes where the file ends.
std::size_t read_at(int fd, std::span<std::byte> into, std::uint64_t offset, const std::string& what) {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t n = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) break;
        if (n < 0) throw IoError("read", what, errno);
        done += static_cast<std::size_t>(n);
    }
    return done;
}

}  // namespace

BlockTable::BlockTable(Lease& lease, const Codec& codec)
    : store_(lease.state_->hold->shared_store()), codec_(codec), codec_id_(codec.codec_id()) {}

std::optional<std::vector<std::byte>> BlockTable::find(const BlockPrint& print, std::span<const std::byte> block) {
    if (print.size < kLeastBlock) return std::nullopt;
    const auto known = store_->index().read([&](Tables& tables) { return tables.block(print, codec_id_); });
    if (!known) return std::nullopt;
    auto bytes = read(known->first, known->second);
    if (!bytes || !makes_block(codec_, *bytes, block)) return std::nullopt;
    ++found_;
    return bytes;
}

std::optional<std::vector<std::byte>> BlockTable::read(const Digest& blob, const BlockRow& row) {
    // None that is as long was ever noted; this bounds what a damaged index makes us ask for.
    if (row.length >= row.print.size) return std::nullopt;
    std::vector<std::byte> out(row.length);
    try {
        const auto fd = open(blob);
        if (read_at(fd->get(), out, row.offset, store_->blob_path(blob)) < row.length) return std::nullopt;
    } catch (const IoError&) {
        // Gone, or on a bad sector, or too many open files: compressing the block again needs none of it.
        return std::nullopt;
    }
    if (checksum_of(out) != row.checksum) return std::nullopt;
    return out;
}

std::shared_ptr<const util::Fd> BlockTable::open(const Digest& blob) {
    const std::lock_guard lock(mutex_);
    if (const auto found = open_.find(blob); found != open_.end()) return found->second;
    auto fd =
        std::make_shared<const util::Fd>(util::open_path(store_->blob_path(blob), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    if (open_.size() >= kOpenBlobs) open_.clear();
    open_.emplace(blob, fd);
    return fd;
}

void BlockTable::note(const BlockPrint& print, std::span<const std::byte> compressed) {
    if (print.size >= kLeastBlock && compressed.size() < print.size) {
        noted_.push_back(
            {.print = print, .offset = offset_, .length = compressed.size(), .checksum = checksum_of(compressed)});
    }
    offset_ += compressed.size();
}

void BlockTable::record(const BlobInfo& blob) {
    if (noted_.empty()) return;
    store_->index().write([&](Tables& tables) {
        // Whoever found it damaged has dropped it already.
        if (!tables.blob(blob.digest)) return;
        for (const BlockRow& row : noted_) tables.put_block(row, codec_id_, blob.digest);
    });
}

}  // namespace imgbuild::layers
