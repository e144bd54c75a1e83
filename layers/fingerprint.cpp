#include "layers/fingerprint.hpp"

#include <algorithm>

namespace imgbuild::layers {
namespace {

std::int64_t nanoseconds(const timespec& time) {
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileFingerprint fingerprint_of(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .mtime = nanoseconds(status.st_mtim),
            .ctime = nanoseconds(status.st_ctim)};
}

// Would a change made after `read_at` have left another ctime or mtime? The kernel stamps files with the time of its
// last tick, up to 10 ms ago (CONFIG_HZ=100), and file systems may cut that to 10 ms of their own; so a change at
// `read_at` can carry a stamp that is 20 ms older. Where stamps are whole seconds (or even ones, as on FAT) it can be 2
// s older. One sees such file systems by the nanoseconds of ctime, which unlike mtime nobody can set: if a fine one
// shows zero by chance, the file is merely read once more.
bool would_show_a_change(const FileFingerprint& file, std::int64_t read_at) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    constexpr std::int64_t kTick = 20'000'000;
    const std::int64_t margin = file.ctime % kSecond == 0 ? kTick + 2 * kSecond : kTick;
    return std::max(file.mtime, file.ctime) < read_at - margin;
}

}  // namespace imgbuild::layers
