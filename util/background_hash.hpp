// sha256 beside the thread that makes the bytes.
#pragma once

#include "util/bytes.hpp"

#include <cstdint>
#include <memory>

namespace imgbuild::util {

/// Knows digest and number of the bytes written to it, as HashingSink does, but hashes many of them on a thread of its
/// own. The first megabyte, which is all of most layers, is hashed by who writes. Holds a few megabytes at most.
class BackgroundHash final : public Sink {
public:
    enum class Threads { none, one };
    explicit BackgroundHash(Threads threads);
    ~BackgroundHash() override;

    void write(std::span<const std::byte> bytes) override;
    /// Call once, after the last byte.
    Digest finish();
    std::uint64_t size() const { return size_; }

private:
    struct Worker;

    Threads threads_;
    Sha256 hash_;
    std::uint64_t size_ = 0;
    std::unique_ptr<Worker> worker_;
};

}  // namespace imgbuild::util
