#include "util/file_sink.hpp"

#include <imgbuild/error.hpp>

#include "util/fd.hpp"

#include <unistd.h>
#include <cerrno>

namespace imgbuild::util {

std::uint64_t FileSink::position() const {
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);
    if (at < 0) throw IoError("write", name_, errno);
    return static_cast<std::uint64_t>(at);
}

void FileSink::overwrite(std::uint64_t at, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("write", name_, errno);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        at += static_cast<std::uint64_t>(n);
    }
}

void FileSink::cut(std::uint64_t at) {
    check(::ftruncate(fd_, static_cast<off_t>(at)), "cut", name_);
    if (::lseek(fd_, static_cast<off_t>(at), SEEK_SET) < 0) throw IoError("write", name_, errno);
}

}  // namespace imgbuild::util
