// A piece of memory for what a step changes, where the store's file system cannot take it directly (RootForm).
#pragma once

#include <cstdint>
#include <string>

namespace imgbuild::sandbox {

/// A tmpfs of at most `size` bytes on an existing directory, as long as the object lives. It can be seen by this worker
/// and its steps only (enter_worker()). Any thread may make and end one.
class BoundedTmpfs {
public:
    /// Throws IoError.
    BoundedTmpfs(std::string directory, std::uint64_t size);
    ~BoundedTmpfs();
    BoundedTmpfs(const BoundedTmpfs&) = delete;
    BoundedTmpfs& operator=(const BoundedTmpfs&) = delete;

    const std::string& path() const { return directory_; }
    std::uint64_t size() const { return size_; }
    /// Less than one part in a hundred is free: whoever failed has probably failed for want of room.
    bool is_full() const;

private:
    std::string directory_;
    std::uint64_t size_;
};

/// Half of the memory that this process may use: of the machine's, or of what the control group around it allows.
std::uint64_t default_tmpfs_size();

}  // namespace imgbuild::sandbox
