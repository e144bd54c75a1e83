#include "layers/file_content.hpp"

#include <imgbuild/error.hpp>

#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10;
// Holes are not worth an extent of their own below this size.
constexpr std::size_t kHoleBytes = 64U << 10;
constexpr std::size_t kSmallBytes = 64U << 10;

bool all_zero(std::span<const std::byte> bytes) {
    return !bytes.empty() && bytes.front() == std::byte{0} &&
           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Writes a file front to back, leaving out steps of zeros.
class HoleWriter {
public:
    HoleWriter(int fd, const std::string& path) : fd_(fd), path_(path) {}

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const auto step = bytes.first(std::min(bytes.size(), kHoleBytes));
            const bool hole = step.size() == kHoleBytes && all_zero(step);
            if (hole) {
                skipped_ = true;
            } else {
                write_at(step);
            }
            at_ += static_cast<off_t>(step.size());
            bytes = bytes.subspan(step.size());
        }
    }
    void finish() {
        if (skipped_) util::check(::ftruncate(fd_, at_), "set the size of", path_);
    }

private:
    void write_at(std::span<const std::byte> bytes) {
        off_t at = at_;
        while (!bytes.empty()) {
            const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), at);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw IoError("write", path_, errno);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
            at += n;
        }
    }

    int fd_;
    const std::string& path_;
    off_t at_ = 0;
    bool skipped_ = false;
};

std::size_t read_some(util::Source& content, std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const std::size_t n = content.read(into.subspan(done));
        if (n == 0) break;
        done += n;
    }
    return done;
}

[[noreturn]] void changed(const std::string& path) {
    throw CorruptData({.code = "corrupt.changed",
                       .message = fmt::format("{} changed while it was copied", util::quote(path)),
                       .hint = "do not write to the build context during a build",
                       .where = {}});
}

void copy_range(int from, int to, off_t begin, off_t end, const std::string& path) {
    off_t in = begin;
    off_t out = begin;
    while (in < end) {
        const ssize_t n = ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - in), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("copy", path, errno);
        if (n == 0) changed(path);
    }
}

// For pairs of file systems between which the kernel does not copy.
bool copies_between(int from, int to, const std::string& path) {
    off_t in = 0;
    off_t out = 0;
    const ssize_t n = ::copy_file_range(from, &in, to, &out, 1, 0);
    if (n >= 0) return true;
    if (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS) return false;
    throw IoError("copy", path, errno);
}

void copy_data(int from, int to, std::uint64_t size, const std::string& path) {
    const auto end = static_cast<off_t>(size);
    util::check(::ftruncate(to, end), "set the size of", path);
    off_t at = 0;
    while (at < end) {
        const off_t data = ::lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // a hole up to the end
        // Not every file system knows holes.
        const off_t begin = data < 0 ? at : data;
        const off_t hole = data < 0 ? end : ::lseek(from, begin, SEEK_HOLE);
        const off_t stop = hole < 0 ? end : std::min(hole, end);
        copy_range(from, to, begin, stop, path);
        at = std::max(stop, at + 1);
    }
}

// One call in and one out: asking for shared extents or copying within the kernel takes longer than the bytes, and so
// does asking for the size when one byte more than the file should have is asked for.
void copy_small(const Extent& from, int to, std::size_t size, const std::string& path) {
    std::array<std::byte, kSmallBytes + 1> buffer;
    const std::size_t wanted = from.offset ? size : size + 1;
    const std::uint64_t begin = from.offset.value_or(0);
    std::size_t seen = 0;
    while (seen < wanted) {
        const ssize_t n = ::pread(from.fd, buffer.data() + seen, wanted - seen, static_cast<off_t>(begin + seen));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("read", path, errno);
        seen += static_cast<std::size_t>(n);
        if (n == 0 || seen == size) break;
    }
    if (seen != size) changed(path);
    util::write_all(to, std::span(buffer).first(size), path);
}

void copy_whole(int from, int to, std::uint64_t size, const std::string& path) {
    struct stat status {};
    util::check(::fstat(from, &status), "look at", path);
    if (std::cmp_not_equal(status.st_size, size)) changed(path);
    if (::ioctl(to, FICLONE, from) == 0) return;
    if (copies_between(from, to, path)) return copy_data(from, to, size, path);
    util::check(static_cast<int>(std::min<off_t>(::lseek(from, 0, SEEK_SET), 0)), "read", path);
    util::FdSource content(from, path);
    write_content(to, content, size, path);
}

}  // namespace

std::size_t ContentSource::read(std::span<std::byte> into) {
    if (!from_.offset) return whole_.read(into);
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_)));
    if (into.empty()) return 0;
    for (;;) {
        const ssize_t n = ::pread(from_.fd, into.data(), into.size(), static_cast<off_t>(*from_.offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("read", name_, errno);
        *from_.offset += static_cast<std::uint64_t>(n);
        left_ -= static_cast<std::uint64_t>(n);
        return static_cast<std::size_t>(n);
    }
}

void write_content(int fd, util::Source& content, std::uint64_t size, const std::string& path) {
    // One byte more than the file should have, so that an excess is seen without another call.
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size + 1, kBufferBytes)));
    HoleWriter file(fd, path);
    std::uint64_t seen = 0;
    for (;;) {
        const std::size_t n = read_some(content, buffer);
        seen += n;
        if (seen > size) throw CorruptData(util::quote(path), fmt::format("{} bytes", size), "more");
        file.write(std::span(buffer).first(n));
        if (n < buffer.size()) break;
    }
    if (seen != size) throw CorruptData(util::quote(path), fmt::format("{} bytes", size), fmt::to_string(seen));
    file.finish();
}

void copy_content(const Extent& from, int to, std::uint64_t size, const std::string& path) {
    if (size <= kSmallBytes) return copy_small(from, to, static_cast<std::size_t>(size), path);
    if (!from.offset) return copy_whole(from.fd, to, size, path);
    // A tar shows no holes; zeros become some.
    ContentSource content(from, path, size);
    write_content(to, content, size, path);
}

}  // namespace imgbuild::layers
