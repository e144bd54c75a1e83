// Blobs whose bytes passed through this process on their way into the store, and were hashed then.
#pragma once

#include "layers/store.hpp"

#include <map>
#include <mutex>

namespace imgbuild::layers {

/// Usable from several threads.
class WrittenBlobs {
public:
    /// `fd` is the blob's file, in its place and finished.
    void add(const Digest& digest, int fd);
    /// Is this the file that was added, and has nobody changed it since? By its inode, size and times.
    bool has(const Digest& digest, int fd) const;

private:
    mutable std::mutex mutex_;
    std::map<Digest, FileFingerprint> files_;
};

}  // namespace imgbuild::layers
