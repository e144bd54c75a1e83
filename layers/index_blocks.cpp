// The table of the index that speaks of the blocks of blobs.
#include "layers/index_db.hpp"

namespace imgbuild::layers {

void Tables::put_block(const BlockRow& row, std::string_view codec_id, const Digest& blob) {
    db_.prepare(
           "INSERT OR REPLACE INTO blocks (print, codec_id, digest, offset, length, checksum)"
           " VALUES (?, ?, ?, ?, ?, ?)")
        .bind(static_cast<std::int64_t>(row.print.sums))
        .bind(codec_id)
        .bind(blob)
        .bind(static_cast<std::int64_t>(row.offset))
        .bind(static_cast<std::int64_t>(row.length))
        .bind(std::int64_t{row.checksum})
        .run();
}

std::optional<std::pair<Digest, BlockRow>> Tables::block(const BlockPrint& print, std::string_view codec_id) {
    auto statement =
        db_.prepare("SELECT digest, offset, length, checksum FROM blocks WHERE print = ? AND codec_id = ?");
    if (!statement.bind(static_cast<std::int64_t>(print.sums)).bind(codec_id).next()) return std::nullopt;
    return std::pair(statement.digest(0), BlockRow{.print = print,
                                                   .offset = static_cast<std::uint64_t>(statement.integer(1)),
                                                   .length = static_cast<std::size_t>(statement.integer(2)),
                                                   .checksum = static_cast<std::uint32_t>(statement.integer(3))});
}

}  // namespace imgbuild::layers
