// Cache mounts: directories that outlive builds, under the store's mounts/.
//
//   mounts/<identity>/id        what it is, in words, for people and for clean-ups
//   mounts/<identity>/<n>/lock  held while the directory is in use
//   mounts/<identity>/<n>/data  the directory itself
//
// Directory 0 is everybody's; "private" users that find it taken get the next one that is free. Locks are on files
// (flock), so they hold between processes and end with them. A clean-up takes the lock, renames `data` away, and leaves
// the lock file where it is: somebody may just have opened it.
//
// What a step leaves half-written stays so: that is the nature of a cache that others can see. A directory itself is
// complete, with its seed, or not there.
#pragma once

#include <imgbuild/digest.hpp>

#include "util/files.hpp"

#include <functional>
#include <stop_token>
#include <string>

namespace imgbuild::layers {

enum class CacheSharing {
    /// Any number at once, with other `shared` ones.
    shared,
    /// One at a time; whoever finds it taken gets another directory ("private").
    exclusive,
    /// One at a time; the others wait.
    locked,
};

struct CacheRequest {
    /// Digest of everything that makes two caches different.
    Digest identity;
    /// For people: the id as the build file has it.
    std::string name;
    CacheSharing sharing = CacheSharing::shared;
    /// Makes the contents of a new directory: `path` exists, is empty and has mode 0755.
    std::function<void(const std::string& path)> fill;
    /// Called once if somebody else has the directory and we wait for it. May be empty.
    std::function<void()> waiting;
};

/// Held as long as the object lives.
class CacheDirectory {
public:
    /// `root`: of the store. Throws Cancelled, IoError, and what `fill` throws.
    static CacheDirectory acquire(const std::string& root, const CacheRequest& request, std::stop_token stop);

    const std::string& path() const { return path_; }

private:
    CacheDirectory(std::string path, util::FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}

    std::string path_;
    util::FileLock lock_;
};

}  // namespace imgbuild::layers
