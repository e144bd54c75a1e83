// Which blocks the store's blobs are made of, so that the next blob can take the unchanged ones (block_reuse.hpp).
//
//     BlobWriter writer = lease.begin_blob();
//     BlockTable blocks(lease, codec);
//     const PackResult result = pack(names, tree, codec, &writer, threads, stop, &blocks);
//     blocks.record(writer.commit(…));                                // its blocks are found from here on
//
// Nothing is pinned: a blob that goes away meanwhile stays readable while its file is open, and is a miss afterwards.
// What is read has to pass the checksum of its row and to inflate to the very block that is looked for, so damaged
// blobs, blobs of before a loss of power and rows that lead elsewhere are misses as well.
#pragma once

#include "layers/block_reuse.hpp"
#include "layers/codec.hpp"
#include "layers/store.hpp"

#include <atomic>
#include <map>
#include <mutex>

namespace imgbuild::layers {

class StoreData;

/// A block of a blob, as the index has it.
struct BlockRow {
    BlockPrint print;
    std::uint64_t offset = 0;
    /// Bytes in the blob.
    std::size_t length = 0;
    /// CRC-32 of those.
    std::uint32_t checksum = 0;
};

/// For one blob that is being made. Smaller blocks than 128 KiB are not remembered, since a look at the index and into
/// a file costs more than compressing them; neither are those that did not become smaller, which are merely copied.
class BlockTable final : public BlockReuse {
public:
    BlockTable(Lease& lease, const Codec& codec);

    std::optional<std::vector<std::byte>> find(const BlockPrint& print, std::span<const std::byte> block) override;
    void note(const BlockPrint& print, std::span<const std::byte> compressed) override;

    /// The blob that was noted is in the store: from now on its blocks are found, before those of older blobs.
    void record(const BlobInfo& blob);

    /// Blocks found so far.
    std::size_t found() const { return found_; }

private:
    std::shared_ptr<const util::Fd> open(const Digest& blob);
    std::optional<std::vector<std::byte>> read(const Digest& blob, const BlockRow& row);

    std::shared_ptr<StoreData> store_;
    Codec codec_;
    std::string codec_id_;
    std::vector<BlockRow> noted_;
    std::uint64_t offset_ = 0;
    std::atomic<std::size_t> found_ = 0;

    std::mutex mutex_;
    std::map<Digest, std::shared_ptr<const util::Fd>> open_;
};

}  // namespace imgbuild::layers
