#include "builder/sandbox/seccomp_profile.hpp"

#include <imgbuild/error.hpp>

#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <vector>

#include "util/fd.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

// By what they are for. Names that an architecture does not have are skipped by libseccomp.
constexpr const char* kRefused[] = {
    // namespaces and mounts
    "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr",
    // code in the kernel
    "create_module", "init_module", "finit_module", "delete_module", "get_kernel_syms", "query_module", "kexec_load",
    "kexec_file_load", "bpf", "perf_event_open", "uselib", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register",
    // the machine's state
    "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "stime", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "sethostname", "setdomainname", "syslog",
    "vhangup", "iopl", "ioperm", "nfsservctl", "sysfs", "_sysctl", "ustat", "vm86", "vm86old", "lookup_dcookie",
    "fanotify_init",
    // other processes' and the kernel's secrets
    "add_key", "request_key", "keyctl", "open_by_handle_at", "kcmp",
    // memory policy of the machine
    "mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node", "get_mempolicy"};

constexpr std::uint64_t kNamespaceFlags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr int kAddressFamilyVsock = 40;
/// As layers/tree_marks.hpp has it.
constexpr std::uint64_t kFirstUnshifted = 0x7fff0000;
constexpr std::size_t kMaxProgram = std::size_t{64} << 10U;

void check(int result, const char* what) {
    if (result >= 0) return;
    throw Error({.code = "machine.no-seccomp",
                 .message = fmt::format("cannot make the seccomp filter: {}: {}", what, std::strerror(-result)),
                 .hint = "libseccomp 2.5 or newer is needed",
                 .where = {}});
}

/// The first argument, as far as `mask` goes, is `value`.
scmp_arg_cmp masked_equal(std::uint64_t mask, std::uint64_t value) {
    return {.arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/// Argument `index` is the mode of a device node.
scmp_arg_cmp device_mode(unsigned index, std::uint64_t type) {
    return {.arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = S_IFMT, .datum_b = type};
}

scmp_arg_cmp equal(std::uint64_t value) {
    return {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}

class Filter {
public:
    explicit Filter(Listening listening)
        : asked_(listening == Listening::pid_1 ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EOPNOTSUPP)),
          context_(seccomp_init(SCMP_ACT_ALLOW)) {
        if (!context_) check(-ENOMEM, "no memory");
        // Foreign numbers are judged by their own table, and those of no table at all are refused.
        check(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)), "bad architecture");
        check(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
#ifdef __x86_64__
        add_architecture(SCMP_ARCH_X86);
#elif defined(__aarch64__)
        add_architecture(SCMP_ARCH_ARM);
#endif
    }

    void refuse(const char* name, int error) {
        const int number = seccomp_syscall_resolve_name(name);
        // A name that is newer than the installed libseccomp; its number is not callable either, see limit_numbers().
        if (number == __NR_SCMP_ERROR) return;
        check(seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), number, 0), name);
    }

    void refuse_if(const char* name, int error, scmp_arg_cmp condition) {
        const int number = seccomp_syscall_resolve_name(name);
        check(seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(static_cast<std::uint32_t>(error)), number, 1,
                                     &condition),
              name);
    }

    /// PID 1 conditions: always.
    void ask(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
        const int number = seccomp_syscall_resolve_name(name);
        check(seccomp_rule_add_array(context_.get(), asked_, number, static_cast<unsigned>(conditions.size()),
                                     conditions.begin()),
              name);
    }

    std::string compile() const {
        const util::Fd file(util::check(memfd_create("filter", MFD_CLOEXEC), "make memory file", "filter"));
        check(seccomp_export_bpf(context_.get(), file.get()), "export");
        util::check(static_cast<int>(lseek(file.get(), 0, SEEK_SET)), "rewind", "filter");
        return util::read_all(file.get(), kMaxProgram, "seccomp filter");
    }

private:
    void add_architecture(std::uint32_t architecture) {
        const int result = seccomp_arch_add(context_.get(), architecture);
        if (result != -EEXIST) check(result, "add architecture");
    }

    struct Release {
        void operator()(void* context) const { seccomp_release(context); }
    };
    std::uint32_t asked_;
    std::unique_ptr<void, Release> context_;
};

/// The highest number that the kernel's tables had when libseccomp was made; the tables are the same for all
/// architectures from number 424 on.
std::uint32_t newest_known() {
    std::uint32_t newest = 0;
    for (int number = 424; number < 1024; ++number) {
        char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        if (name == nullptr) continue;
        std::free(name);
        newest = static_cast<std::uint32_t>(number);
    }
    return newest;
}

/// Puts "numbers beyond the known are ENOSYS" in front of `program`: programs then behave as on an older kernel, and
/// what a future kernel can do is not open by default. The calls of x32 have large numbers and are shut as well.
/// libseccomp has no rule for that.
std::string limit_numbers(const std::string& program) {
    const sock_filter prologue[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  // seccomp_data.nr
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_known(), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SCMP_ACT_ERRNO(ENOSYS)),
    };
    std::string limited(sizeof(prologue), '\0');
    std::memcpy(limited.data(), prologue, sizeof(prologue));
    return limited + program;
}

/// Execution domains other than Linux bring back long gone behaviour. Allowed: Linux, 32-bit Linux, either with the
/// version number of 2.6, and the question which one is set (all ones). A rule can only ask for some bits, so: without
/// the top bit, none but the allowed ones may be set; with it, all of them must be.
void refuse_personalities(Filter& filter) {
    constexpr std::uint64_t kAllowed = std::uint64_t{PER_LINUX32} | std::uint64_t{UNAME26};
    constexpr std::uint64_t kTop = 0x80000000U;
    for (std::uint64_t bit = 1; bit < kTop; bit <<= 1U) {
        if ((kAllowed & bit) == 0) filter.refuse_if("personality", EPERM, masked_equal(kTop | bit, bit));
        filter.refuse_if("personality", EPERM, masked_equal(kTop | bit, kTop));
    }
}

/// What a user namespace cannot do, or not to every file system, or what must not be done behind our back.
void ask_for_devices_and_attributes(Filter& filter) {
    for (const std::uint64_t type : {std::uint64_t{S_IFCHR}, std::uint64_t{S_IFBLK}}) {
        filter.ask("mknod", {device_mode(1, type)});
        filter.ask("mknodat", {device_mode(2, type)});
    }
    for (const char* name : {"setxattr", "lsetxattr", "fsetxattr"}) filter.ask(name, {});
    // Programs fall back to those three.
    filter.refuse("setxattrat", ENOSYS);
}

/// The first id that the worker's user namespace does not have, or root's shifted steps do not.
std::uint64_t first_unknown_id(const std::string& path) {
    constexpr std::size_t kMaxMap = std::size_t{64} << 10U;
    std::map<std::uint64_t, std::uint64_t> ranges;
    const std::string map = util::read_file(path, kMaxMap);
    for (const std::string_view line : util::split(map, '\n')) {
        std::vector<std::uint64_t> numbers;
        for (const std::string_view word : util::split(line, ' ')) {
            if (const auto number = util::parse_number(word)) numbers.push_back(*number);
        }
        if (numbers.size() == 3) ranges[numbers[0]] = numbers[2];
    }
    std::uint64_t next = 0;
    for (const auto& [first, count] : ranges) {
        if (first != next) break;
        next += count;
    }
    return std::min<std::uint64_t>(next, kFirstUnshifted);
}

/// PID 1 knows better which ids there are, and lets the kernel go on with those. "No change" is all ones and so among
/// the asked; that is chgrp, which is not used by the thousands.
void ask_for_unknown_owners(Filter& filter) {
    const std::uint64_t uid = first_unknown_id("/proc/self/uid_map");
    const std::uint64_t gid = first_unknown_id("/proc/self/gid_map");
    const auto at_least = [](unsigned index, std::uint64_t id) {
        return scmp_arg_cmp{.arg = index, .op = SCMP_CMP_GE, .datum_a = id, .datum_b = 0};
    };
    for (const char* name : {"chown", "lchown", "fchown", "chown32", "lchown32", "fchown32"}) {
        filter.ask(name, {at_least(1, uid)});
        filter.ask(name, {at_least(2, gid)});
    }
    filter.ask("fchownat", {at_least(2, uid)});
    filter.ask("fchownat", {at_least(3, gid)});
}

}  // namespace

std::string compile_default_filter(Listening listening) {
    Filter filter(listening);
    for (const char* name : kRefused) filter.refuse(name, EPERM);
    filter.refuse("clone3", ENOSYS);
    for (std::uint64_t bit = 1; bit <= kNamespaceFlags; bit <<= 1U) {
        if ((kNamespaceFlags & bit) != 0) filter.refuse_if("clone", EPERM, masked_equal(bit, bit));
    }
    filter.refuse_if("socket", EPERM, equal(kAddressFamilyVsock));
    refuse_personalities(filter);
    ask_for_devices_and_attributes(filter);
    // The kernel itself refuses owners that it does not know.
    if (listening == Listening::pid_1) ask_for_unknown_owners(filter);
    return limit_numbers(filter.compile());
}

}  // namespace imgbuild::sandbox
