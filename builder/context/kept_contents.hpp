// Contents of small files, from when their checksums are taken until they are packed: opening a small file anew costs
// more than its bytes do.
//
//     KeptContents kept(files.size(), room);
//     content_checksums(tree, files, store, threads, work, &kept);
//     …
//     if (const auto content = kept.find(number)) …       // else the file is opened
//
// Usable from several threads, each with files of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

/// How much the copies of a build may keep at one time, together. Usable from several threads.
class KeptRoom {
public:
    /// `most` is bytes.
    explicit KeptRoom(std::uint64_t most) : most_(most) {}

    bool take(std::uint64_t bytes);
    void give_back(std::uint64_t bytes) { taken_.fetch_sub(bytes); }

private:
    std::uint64_t most_;
    std::atomic<std::uint64_t> taken_ = 0;
};

class KeptContents {
public:
    /// Larger files are cheaper to read again.
    static constexpr std::uint64_t kSmall = 16U << 10;

    /// `room` must outlive this.
    KeptContents(std::size_t files, KeptRoom& room) : contents_(files), room_(room) {}
    ~KeptContents() { room_.give_back(taken_); }
    KeptContents(const KeptContents&) = delete;
    KeptContents& operator=(const KeptContents&) = delete;

    /// Memory for contents, which stays as long as this; empty if the room does not suffice.
    std::span<std::byte> allocate(std::size_t bytes);
    /// All of a file, by its number; `content` lies in what was allocated.
    void keep(std::size_t file, std::span<const std::byte> content) {
        contents_[file] = std::string_view(reinterpret_cast<const char*>(content.data()), content.size());
    }
    /// Nothing if it was not kept.
    std::optional<std::string_view> find(std::size_t file) const { return contents_[file]; }

private:
    std::vector<std::optional<std::string_view>> contents_;
    KeptRoom& room_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<std::byte[]>> memory_;
    std::uint64_t taken_ = 0;
};

}  // namespace imgbuild::builder
