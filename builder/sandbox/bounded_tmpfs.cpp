#include "builder/sandbox/bounded_tmpfs.hpp"

#include <imgbuild/error.hpp>

#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <utility>

#include "builder/sandbox/user_facts.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {

BoundedTmpfs::BoundedTmpfs(std::string directory, std::uint64_t size) : directory_(std::move(directory)), size_(size) {
    const std::string options = fmt::format("mode=0700,size={}", size);
    util::check(::mount("tmpfs", directory_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()), "mount tmpfs on",
                directory_);
}

BoundedTmpfs::~BoundedTmpfs() {
    // Detached, so that a file that somebody still holds open does not keep it; it is private to this worker anyway.
    ::umount2(directory_.c_str(), MNT_DETACH);
}

bool BoundedTmpfs::is_full() const {
    struct statfs status {};
    util::check(::statfs(directory_.c_str(), &status), "ask for the free space of", directory_);
    return status.f_bavail < status.f_blocks / 100 || (status.f_files != 0 && status.f_ffree == 0);
}

std::uint64_t default_tmpfs_size() {
    struct sysinfo info {};
    util::check(::sysinfo(&info), "ask for", "the size of memory");
    std::uint64_t memory = std::uint64_t{info.totalram} * info.mem_unit;
    // In a container the root of its own control groups; "max", which is no number, elsewhere.
    if (const auto text = read_system_file("/sys/fs/cgroup/memory.max")) {
        if (const auto limit = util::parse_number(util::trim(*text))) memory = std::min(memory, *limit);
    }
    return memory / 2;
}

}  // namespace imgbuild::sandbox
