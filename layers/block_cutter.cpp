#include "layers/block_cutter.hpp"

#include "util/assert.hpp"

#include <algorithm>
#include <utility>

namespace imgbuild::layers {

std::uint32_t path_hash(std::string_view path) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : path) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 1099511628211U;
    }
    return static_cast<std::uint32_t>(hash >> 32) ^ static_cast<std::uint32_t>(hash);
}

BlockCutter::BlockCutter(Take take) : take_(std::move(take)) {}

void BlockCutter::begin_entry(std::string_view path) {
    IMGBUILD_ASSERT(content_left_ == 0);
    if (block_.size() >= kBlockStep && (path_hash(path) & 3U) == 0) cut();
}

void BlockCutter::begin_content(std::uint64_t size) {
    content_left_ = size;
    content_offset_ = 0;
}

// How many bytes may come before the next cut that is known already.
std::size_t BlockCutter::until_cut() const {
    const std::size_t room = kMaxBlock - block_.size();
    if (content_left_ == 0) return room;
    const auto to_step = static_cast<std::size_t>(kBlockStep - content_offset_ % kBlockStep);
    return std::min(room, to_step);
}

void BlockCutter::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        // Before the byte that begins the next block, not after the last one of this: the stream may end there.
        const bool at_step = content_left_ > 0 && content_offset_ > 0 && content_offset_ % kBlockStep == 0;
        if (!block_.empty() && (at_step || block_.size() == kMaxBlock)) cut();
        std::size_t n = std::min(bytes.size(), until_cut());
        if (content_left_ > 0) {
            n = static_cast<std::size_t>(std::min<std::uint64_t>(n, content_left_));
            content_left_ -= n;
            content_offset_ += n;
        }
        block_.insert(block_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        bytes = bytes.subspan(n);
    }
}

void BlockCutter::cut() {
    take_(std::exchange(block_, {}));
    block_.reserve(kMaxBlock);
}

void BlockCutter::finish() {
    if (!block_.empty()) take_(std::exchange(block_, {}));
}

}  // namespace imgbuild::layers
