#include "util/fd.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

namespace imgbuild::util {

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

void Fd::reset() noexcept {
    // close() frees the number even when it reports EINTR or EIO, so there is nothing to try again.
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Fd Fd::duplicate() const {
    return Fd(check(::fcntl(fd_, F_DUPFD_CLOEXEC, 0), "duplicate a descriptor", ""));
}

int check(int result, const char* operation, const std::string& path) {
    if (result < 0) throw IoError(operation, path, errno);
    return result;
}

Pipe make_pipe() {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC), "make a pipe", "");
    return {.read = Fd(ends[0]), .write = Fd(ends[1])};
}

Fd open_path(const std::string& path, int flags, mode_t mode) {
    return open_at(AT_FDCWD, path, flags, mode);
}

Fd open_at(int directory, const std::string& path, int flags, mode_t mode) {
    int fd;
    do {
        fd = ::openat(directory, path.c_str(), flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return Fd(check(fd, "open", path));
}

void write_all(int fd, std::span<const std::byte> bytes, std::string_view what) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0) {
            if (errno == EINTR) continue;
            throw IoError("write", std::string(what), errno);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void write_all(int fd, std::string_view text, std::string_view what) {
    write_all(fd, std::as_bytes(std::span(text)), what);
}

std::size_t read_full(int fd, std::span<std::byte> into, std::string_view what) {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t n = ::read(fd, into.data() + done, into.size() - done);
        if (n < 0) {
            if (errno == EINTR) continue;
            throw IoError("read", std::string(what), errno);
        }
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

std::string read_all(int fd, std::size_t limit, std::string_view what) {
    constexpr std::size_t kChunk = 64U << 10;
    std::string out;
    for (;;) {
        const std::size_t old = out.size();
        out.resize(old + kChunk);
        const std::size_t n = read_full(fd, std::as_writable_bytes(std::span(out).subspan(old)), what);
        out.resize(old + n);
        if (out.size() > limit) {
            throw CorruptData({.code = "corrupt.too-large",
                               .message = fmt::format("{} is larger than {}", what, human_size(limit)),
                               .hint = {},
                               .where = {}});
        }
        if (n < kChunk) return out;
    }
}

std::string read_file(const std::string& path, std::size_t limit) {
    const Fd fd = open_path(path, O_RDONLY);
    return read_all(fd.get(), limit, path);
}

}  // namespace imgbuild::util
