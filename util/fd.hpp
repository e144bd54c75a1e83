// Ownership of file descriptors, and the calls on them that everybody needs.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace imgbuild::util {

/// Owns one descriptor, or none (-1). Movable; closes on destruction. Always opened with O_CLOEXEC.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset() noexcept;
    /// A second descriptor for the same open file.
    Fd duplicate() const;

private:
    int fd_ = -1;
};

/// Both ends of a pipe, close-on-exec.
struct Pipe {
    Fd read;
    Fd write;
};
Pipe make_pipe();

/// Opens a path of our own (never one inside a foreign tree: that is RootedDir's). O_CLOEXEC is added.
/// Throws IoError.
Fd open_path(const std::string& path, int flags, mode_t mode = 0);
/// As open_path(), relative to `directory`.
Fd open_at(int directory, const std::string& path, int flags, mode_t mode = 0);

/// Writes everything, or throws IoError that names `what`.
void write_all(int fd, std::span<const std::byte> bytes, std::string_view what);
void write_all(int fd, std::string_view text, std::string_view what);
/// Reads until `into` is full or the file ends; returns how many bytes.
std::size_t read_full(int fd, std::span<std::byte> into, std::string_view what);

/// A whole small file of ours. Throws IoError; CorruptData ("corrupt.too-large") beyond `limit` bytes.
std::string read_file(const std::string& path, std::size_t limit);
std::string read_all(int fd, std::size_t limit, std::string_view what);

/// Throws IoError for `errno` unless `result` >= 0; returns `result`. Restarting on EINTR is the caller's.
int check(int result, const char* operation, const std::string& path);

}  // namespace imgbuild::util
