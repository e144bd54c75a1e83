// Files and directories of our own: replaced atomically, removed for certain, locked.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "util/fd.hpp"

namespace imgbuild::util {

/// A file that is being replaced. Bytes go to a temporary neighbour; only commit() publishes it, and forgetting the
/// object leaves the old file as it was. What is there and no regular file (a device, a pipe, a link to one) cannot be
/// replaced; it is opened and written to as it is, and then nothing can be taken back.
class AtomicFile {
public:
    explicit AtomicFile(std::string path, mode_t mode = 0644);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    int fd() const { return fd_.get(); }
    void write(std::string_view text);
    /// Renames over the target. Throws IoError; may be called once.
    void commit();

private:
    std::string path_;
    std::string temporary_;
    Fd fd_;
};

/// A directory of our own that goes, with everything in it, when the object does. Removal follows nothing.
class TempDir {
public:
    /// Makes `parent`/`prefix`XXXXXX, mode 0700. Throws IoError.
    TempDir(const std::string& parent, std::string_view prefix);
    TempDir(TempDir&& other) noexcept;
    TempDir& operator=(TempDir&& other) noexcept;
    ~TempDir();

    const std::string& path() const { return path_; }
    /// Leaves the directory where it is.
    std::string release();

private:
    std::string path_;
};

/// An advisory lock on an open file (flock), released on destruction or with the process.
class FileLock {
public:
    enum class Kind { shared, exclusive };

    /// Waits. Creates the file if need be.
    static FileLock acquire(const std::string& path, Kind kind);
    /// Nothing if somebody else holds it.
    static std::optional<FileLock> try_acquire(const std::string& path, Kind kind);

private:
    explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

/// mkdir -p with mode 0755 less the umask. Throws IoError.
void make_directories(const std::string& path);
/// rm -rf of a path of our own; follows nothing, absence is fine.
void remove_all(const std::string& path);

}  // namespace imgbuild::util
