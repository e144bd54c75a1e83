#include "builder/sandbox/host_facts.hpp"

#include <imgbuild/error.hpp>

#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "builder/sandbox/probe.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace imgbuild::sandbox {
namespace {

constexpr std::size_t kMaxProcFile = 4096;
constexpr std::uint64_t kDefaultOpenFiles = 1048576;

void read_kernel_version(HostFacts& facts) {
    utsname names{};
    util::check(uname(&names), "ask for", "the kernel's version");
    facts.kernel_release = names.release;
    const char* end = names.release + facts.kernel_release.size();
    const auto [rest, error] = std::from_chars(names.release, end, facts.kernel_major);
    if (error == std::errc() && rest != end) std::from_chars(rest + 1, end, facts.kernel_minor);
}

struct statfs file_system_of(const std::string& path) {
    struct statfs status {};
    util::check(statfs(path.c_str(), &status), "ask for the file system of", path);
    return status;
}

std::string file_system_name(const std::string& path) {
    const auto type = static_cast<std::uint64_t>(file_system_of(path).f_type);
    switch (type) {
        case EXT4_SUPER_MAGIC:
            return "ext4";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case XFS_SUPER_MAGIC:
            return "xfs";
        case TMPFS_MAGIC:
            return "tmpfs";
        case OVERLAYFS_SUPER_MAGIC:
            return "overlay";
        default:
            return fmt::format("{:#x}", type);
    }
}

CgroupLayout find_cgroups() {
    const auto is_v2 = [](const char* path) {
        struct statfs status {};
        return statfs(path, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
    };
    if (is_v2("/sys/fs/cgroup")) return CgroupLayout::v2;
    if (is_v2("/sys/fs/cgroup/unified")) return CgroupLayout::hybrid;
    return access("/sys/fs/cgroup/memory", F_OK) == 0 ? CgroupLayout::v1 : CgroupLayout::none;
}

/// A process with CAP_SYS_RESOURCE may go beyond its own hard limit.
std::uint64_t find_open_file_limit() {
    rlimit limit{};
    util::check(getrlimit(RLIMIT_NOFILE, &limit), "ask for the limit of", "open files");
    if (limit.rlim_max >= kDefaultOpenFiles) return limit.rlim_max;
    const rlimit wider{limit.rlim_cur, kDefaultOpenFiles};
    if (setrlimit(RLIMIT_NOFILE, &wider) != 0) return limit.rlim_max;
    util::check(setrlimit(RLIMIT_NOFILE, &limit), "restore the limit of", "open files");
    return kDefaultOpenFiles;
}

[[noreturn]] void lacks(const char* code, std::string message, std::string hint) {
    throw Error({.code = code, .message = std::move(message), .hint = std::move(hint), .where = {}});
}

const char* name_of(CgroupLayout layout) {
    switch (layout) {
        case CgroupLayout::none:
            return "none";
        case CgroupLayout::v1:
            return "v1";
        case CgroupLayout::hybrid:
            return "hybrid";
        case CgroupLayout::v2:
            return "v2";
    }
    return "none";
}

const char* name_of(StepIds ids) {
    switch (ids) {
        case StepIds::none:
            return "none";
        case StepIds::identity:
            return "identity";
        case StepIds::shifted:
            return "shifted";
    }
    return "none";
}

}  // namespace

HostFacts probe_host(const std::string& store, const std::string& scratch) {
    HostFacts facts;
    facts.store = store;
    read_kernel_version(facts);
    facts.is_root = geteuid() == 0;
    facts.store_file_system = file_system_name(store);
    facts.cgroups = find_cgroups();
    const std::uint32_t action = SECCOMP_RET_ERRNO;
    facts.seccomp_filter = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    facts.open_file_limit = find_open_file_limit();
    const std::string path = "/proc/self/oom_score_adj";
    const std::string score = util::read_file(path, kMaxProcFile);
    std::from_chars(score.data(), score.data() + score.size(), facts.oom_score_adjustment);
    if (facts.is_root) probe_namespaces(scratch, facts);
    return facts;
}

void require_steps(const HostFacts& facts) {
    if (facts.ids == StepIds::none) {
        lacks("machine.no-user-namespaces", "this machine does not let us make user namespaces",
              "in a container, give it more rights; else see /proc/sys/user/max_user_namespaces");
    }
    if (!facts.overlay) {
        lacks("machine.no-overlay",
              fmt::format("no overlay can be mounted in a user namespace with its upper directory on {}",
                          facts.store_file_system),
              "Linux 6.7 or newer is needed, and a store on a file system with extended attributes that is no overlay "
              "itself: "
              "set IMGBUILD_ROOT");
    }
    if (!facts.mount_proc) {
        lacks("machine.no-proc", "proc cannot be mounted in a user namespace",
              "the container around us hides parts of /proc; run it with an unmasked /proc (docker: "
              "--security-opt systempaths=unconfined)");
    }
    if (!facts.seccomp_filter) {
        lacks("machine.no-seccomp", "this kernel takes no seccomp filters",
              "Linux with CONFIG_SECCOMP_FILTER is needed");
    }
}

std::string to_json(const HostFacts& facts) {
    nlohmann::ordered_json json;
    json["kernelRelease"] = facts.kernel_release;
    json["kernelMajor"] = facts.kernel_major;
    json["kernelMinor"] = facts.kernel_minor;
    json["isRoot"] = facts.is_root;
    json["ids"] = name_of(facts.ids);
    json["overlay"] = facts.overlay;
    json["mountProc"] = facts.mount_proc;
    json["seccompFilter"] = facts.seccomp_filter;
    json["cgroups"] = name_of(facts.cgroups);
    json["store"] = facts.store;
    json["storeFileSystem"] = facts.store_file_system;
    json["openFileLimit"] = facts.open_file_limit;
    json["oomScoreAdjustment"] = facts.oom_score_adjustment;
    return json.dump(2) + "\n";
}

}  // namespace imgbuild::sandbox
