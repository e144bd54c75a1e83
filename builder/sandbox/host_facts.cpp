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

/// Those that <linux/magic.h> does not name, or not everywhere.
constexpr struct {
    std::uint64_t magic;
    const char* name;
} kOtherFileSystems[] = {{0x6969, "nfs"},          {0xff534d42, "cifs"}, {0xfe534d42, "cifs"},  {0x01021997, "9p"},
                         {0x00c36400, "ceph"},     {0x5346414f, "afs"},  {0x65735546, "fuse"},  {0x2fc12fc1, "zfs"},
                         {0xca451a4e, "bcachefs"}, {0xf2f52010, "f2fs"}, {0x858458f6, "ramfs"}, {0x4d44, "vfat"}};

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
            break;
    }
    const auto* known = std::find_if(std::begin(kOtherFileSystems), std::end(kOtherFileSystems),
                                     [type](const auto& other) { return other.magic == type; });
    return known != std::end(kOtherFileSystems) ? known->name : fmt::format("{:#x}", type);
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

bool knows_action(std::uint32_t action) {
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/// Version 2 says in one line where we are: "0::/path".
bool owns_cgroup() {
    const std::string text = util::read_file("/proc/self/cgroup", kMaxProcFile);
    const std::string_view line = util::trim(text);
    if (!line.starts_with("0::")) return false;
    const std::string directory = fmt::format("/sys/fs/cgroup{}", line.substr(3));
    return access((directory + "/cgroup.subtree_control").c_str(), W_OK) == 0 &&
           access((directory + "/cgroup.procs").c_str(), W_OK) == 0;
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

const char* name_of(Who who) {
    switch (who) {
        case Who::root:
            return "root";
        case Who::container_root:
            return "container-root";
        case Who::plain_user:
            return "plain-user";
    }
    return "root";
}

nlohmann::ordered_json user_json(const UserFacts& user) {
    nlohmann::ordered_json json;
    json["who"] = name_of(user.who);
    json["uid"] = user.uid;
    json["name"] = user.name;
    json["subordinateUids"] = user.subordinate_uids;
    json["subordinateGids"] = user.subordinate_gids;
    json["newuidmap"] = user.has_newuidmap;
    json["newgidmap"] = user.has_newgidmap;
    json["namespaceError"] = user.namespace_error;
    json["cloneForbidden"] = user.clone_forbidden;
    json["apparmorRestricts"] = user.apparmor_restricts;
    json["maxUserNamespaces"] = nullptr;
    if (user.max_user_namespaces) json["maxUserNamespaces"] = *user.max_user_namespaces;
    json["container"] = user.container;
    return json;
}

}  // namespace

HostFacts ask_kernel(const std::string& store, const std::string& place) {
    HostFacts facts;
    facts.store = store;
    read_kernel_version(facts);
    facts.is_root = geteuid() == 0;
    facts.store_file_system = file_system_name(place);
    facts.store_writable = access(place.c_str(), W_OK | X_OK) == 0;
    facts.cgroups = find_cgroups();
    facts.cgroup_delegated = facts.cgroups == CgroupLayout::v2 && owns_cgroup();
    facts.seccomp_filter = knows_action(SECCOMP_RET_ERRNO);
    facts.user_notification = knows_action(SECCOMP_RET_USER_NOTIF);
    facts.open_file_limit = find_open_file_limit();
    const std::string path = "/proc/self/oom_score_adj";
    const std::string score = util::read_file(path, kMaxProcFile);
    std::from_chars(score.data(), score.data() + score.size(), facts.oom_score_adjustment);
    return facts;
}

HostFacts probe_host(const std::string& store, const std::string& scratch) {
    HostFacts facts = ask_kernel(store, scratch);
    if (facts.is_root) probe_namespaces(scratch, facts);
    // For the hints of require_steps(); a build that works does not need to know who asked for it.
    if (facts.ids == StepIds::none || !facts.steps) facts.user = ask_user();
    return facts;
}

RootForm best_root(const HostFacts& facts) {
    if (facts.overlay) return RootForm::overlay;
    return facts.overlay_in_memory ? RootForm::overlay_in_memory : RootForm::copy;
}

std::string to_json(const HostFacts& facts) {
    nlohmann::ordered_json json;
    json["kernelRelease"] = facts.kernel_release;
    json["kernelMajor"] = facts.kernel_major;
    json["kernelMinor"] = facts.kernel_minor;
    json["isRoot"] = facts.is_root;
    json["ids"] = name_of(facts.ids);
    json["overlay"] = facts.overlay;
    json["overlayInMemory"] = facts.overlay_in_memory;
    json["mountProc"] = facts.mount_proc;
    json["steps"] = facts.steps;
    json["seccompFilter"] = facts.seccomp_filter;
    json["cgroups"] = name_of(facts.cgroups);
    json["store"] = facts.store;
    json["storeFileSystem"] = facts.store_file_system;
    json["openFileLimit"] = facts.open_file_limit;
    json["oomScoreAdjustment"] = facts.oom_score_adjustment;
    json["userNotification"] = facts.user_notification;
    json["cgroupDelegated"] = facts.cgroup_delegated;
    json["storeWritable"] = facts.store_writable;
    json["workerError"] = facts.worker_error;
    json["user"] = user_json(facts.user);
    return json.dump(2) + "\n";
}

}  // namespace imgbuild::sandbox
