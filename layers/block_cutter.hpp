// Where a tar is cut into independently compressed blocks.
//
// Rule "cut1". The cuts follow the tar stream only, so that a changed layer has the same blocks as its predecessor
// except around the change, and is still identical to one packed from nothing. A block ends
//   - before the headers of an entry, if the block has at least 1 MiB and path_hash(path) ends in two zero bits;
//   - inside the contents of a file, before each offset (from the start of the contents) that is a multiple of 1 MiB;
//   - always at 4 MiB.
// There are no empty blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "layers/tar_writer.hpp"

namespace imgbuild::layers {

inline constexpr std::size_t kBlockStep = 1U << 20;
inline constexpr std::size_t kMaxBlock = 4U << 20;
/// Names the rule in codec ids.
inline constexpr std::string_view kCutRule = "cut1";

/// FNV-1a (64 bits: offset basis 14695981039346656037, prime 1099511628211), its upper half xor its lower half.
std::uint32_t path_hash(std::string_view path);

class BlockCutter final : public TarStream {
public:
    using Block = std::vector<std::byte>;
    /// Takes each block in order.
    using Take = std::function<void(Block)>;

    explicit BlockCutter(Take take);

    void begin_entry(std::string_view path) override;
    void begin_content(std::uint64_t size) override;
    void write(std::span<const std::byte> bytes) override;
    /// Hands over the rest. Call once, last.
    void finish();

private:
    std::size_t until_cut() const;
    void cut();

    Take take_;
    Block block_;
    std::uint64_t content_left_ = 0;
    std::uint64_t content_offset_ = 0;
};

}  // namespace imgbuild::layers
