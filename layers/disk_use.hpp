// What trees take of the disk, as their file system counts it (st_blocks).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>

struct stat;

namespace imgbuild::layers {

/// Adds up trees; a file with several names counts once among all of them. What it shares with others by reflink counts
/// in full, as the file system says nothing else. Opens one directory at a time and follows nothing, so a tree may be
/// as deep and as hostile as it likes, and change meanwhile.
class DiskUse {
public:
    /// `path` and everything below. Absence is nothing. Throws IoError.
    void add(const std::string& path);
    /// Only `path` itself.
    void add_alone(const std::string& path);
    std::uint64_t bytes() const { return bytes_; }

private:
    void count(const struct stat& status);

    std::uint64_t bytes_ = 0;
    std::set<std::pair<dev_t, ino_t>> linked_;
};

/// Of one tree.
std::uint64_t disk_use(const std::string& path);

}  // namespace imgbuild::layers
