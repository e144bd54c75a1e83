// What a step needs, in the order in which it must happen. docs/sandbox.md tells what each of it defends against.
#include "builder/sandbox/plan.hpp"

#include <imgbuild/error.hpp>

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <utility>

#include "builder/sandbox/worker.hpp"
#include "util/text.hpp"

#include <fmt/core.h>

namespace imgbuild::sandbox {
namespace {

constexpr std::uint32_t kKernelView = op::kNoSetuid | op::kNoDevices | op::kNoExecute;

constexpr std::array kDefaultCapabilities = {
    CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FSETID,  CAP_FOWNER,           CAP_MKNOD,      CAP_NET_RAW, CAP_SETGID,
    CAP_SETUID, CAP_SETFCAP,      CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT, CAP_KILL,    CAP_AUDIT_WRITE};

[[noreturn]] void refuse(std::string code, std::string message) {
    throw UsageError({.code = std::move(code), .message = std::move(message), .hint = {}, .where = {}});
}

void require_absolute(std::string_view path, std::string_view what) {
    if (path.empty() || path.front() != '/') {
        refuse("usage.bad-step", fmt::format("{} of a step is no absolute path: {}", what, util::quote(path)));
    }
}

void require_no_nul(std::string_view text, std::string_view what) {
    if (text.find('\0') != std::string_view::npos) {
        refuse("usage.bad-step", fmt::format("{} of a step contains a NUL byte: {}", what, util::quote(text)));
    }
}

void check_spec(const StepSpec& spec) {
    if (spec.args.empty() || spec.args.front().empty()) refuse("usage.bad-step", "a step has no command");
    if (spec.lowers.empty()) refuse("usage.bad-step", "a step has no root file system");
    for (const std::string& lower : spec.lowers) require_absolute(lower, "lower tree");
    require_absolute(spec.upper, "upper directory");
    require_absolute(spec.work, "work directory");
    require_absolute(spec.workdir, "working directory");
    for (const std::string& arg : spec.args) require_no_nul(arg, "argument");
    for (const std::string& variable : spec.env) require_no_nul(variable, "environment");
    for (const std::string* path : {&spec.upper, &spec.work, &spec.workdir, &spec.hostname})
        require_no_nul(*path, "setting");
    for (const std::string& lower : spec.lowers) require_no_nul(lower, "lower tree");
    const auto is_bind = [](const Mount& mount) { return std::holds_alternative<BindMount>(mount); };
    const auto binds = std::count_if(spec.mounts.begin(), spec.mounts.end(), is_bind);
    if (binds > std::int64_t{op::kMaxBinds}) {
        refuse("usage.bad-step",
               fmt::format("a step has {} bind mounts, and at most {} are possible", binds, op::kMaxBinds));
    }
}

class Planner {
public:
    Planner(const StepSpec& spec, const HostFacts& facts) : spec_(spec), facts_(facts) {}

    SandboxPlan plan() {
        leave_worker();
        make_root();
        start_init();
        attach_root();
        mount_kernel_views();
        mount_devices();
        mount_texts();
        for (const Mount& mount : spec_.mounts) {
            std::visit([&](const auto& wish) { mount_wish(wish); }, mount);
        }
        add(PivotRoot{}, "nothing of this machine's file systems stays reachable");
        become_command();
        return std::move(plan_);
    }

private:
    using PivotRoot = op::PivotRoot<Owned>;
    using MountFileSystem = op::MountFileSystem<Owned>;
    using MountBind = op::MountBind<Owned>;

    void add(Action action, std::string why) { plan_.operations.push_back({std::move(action), std::move(why)}); }

    // Limits and the score need capabilities in the initial user namespace, so they come before the build's is entered.
    void leave_worker() {
        const std::uint64_t hard = std::min(spec_.limits.open_files_hard, facts_.open_file_limit);
        add(
            op::SetLimit<Owned>{
                .kind = op::kOpenFiles, .soft = std::min(spec_.limits.open_files_soft, hard), .hard = hard},
            "steps find the same limit whatever the caller's shell had");
        add(op::SetLimit<Owned>{.kind = op::kCoreSize, .soft = 0, .hard = 0},
            "a crash leaves no core file in the layer");
        add(op::SetOomScore<Owned>{.value = static_cast<std::uint32_t>(std::max(0, facts_.oom_score_adjustment))},
            "short of memory, the kernel ends the step before the worker");
        add(op::NewKeyring<Owned>{}, "the worker's keys are not the step's");
        const std::uint32_t shift = is_shifted() ? kFirstShiftedId : 0;
        add(op::GiveOutput<Owned>{.uid = shift + spec_.uid, .gid = shift + spec_.gid},
            "a command that is not root may open /dev/stdout");
        for (const Mount& mount : spec_.mounts) {
            if (const auto* bind = std::get_if<BindMount>(&mount)) hold_bind(*bind);
        }
    }

    // Where ids are shifted, the overlay is made outside of the step's user namespace, since only there may one look at
    // the store. Otherwise inside, so that it belongs to that namespace.
    void make_root() {
        if (is_shifted()) {
            add(op::EnterStore<Owned>{.uid = kFirstShiftedId, .gid = kFirstShiftedId},
                "what the step's root owns belongs to nobody on this machine, and to root in the layer");
            mount_overlay();
            enter_namespaces();
        } else {
            enter_namespaces();
        }
    }

    void enter_namespaces() {
        add(op::EnterUserNamespace<Owned>{}, "capabilities of the step count for its own namespaces only");
        std::uint32_t namespaces = op::kMountNs | op::kIpcNs | op::kUtsNs | op::kCgroupNs | op::kPidNs;
        if (spec_.network == NetworkMode::none) namespaces |= op::kNetworkNs;
        add(op::NewNamespaces<Owned>{.namespaces = namespaces}, "mounts, processes and names of the step are its own");
    }

    void start_init() {
        add(op::StartInit<Owned>{}, "when PID 1 ends, the kernel ends every process of the step");
        add(op::SetHostname<Owned>{.name = spec_.hostname}, "the same name on every machine");
        if (spec_.network == NetworkMode::none) {
            add(op::RaiseLoopback<Owned>{}, "programs expect 127.0.0.1 even without a network");
        }
    }

    void mount_overlay() {
        op::MountOverlay<Owned> overlay{.upper = in_store(spec_.upper), .work = in_store(spec_.work)};
        for (const std::string& lower : spec_.lowers) overlay.lowers.push_back(in_store(lower));
        add(std::move(overlay), "what the step changes lands in the upper directory alone");
    }

    void attach_root() {
        if (!is_shifted()) mount_overlay();
        add(op::MountScratch<Owned>{.at = "/proc"}, "a place that only this init sees, to build the root in");
        add(op::AttachRoot<Owned>{}, "mounts can only be attached below a mount that is attached itself");
    }

    bool is_shifted() const { return facts_.ids == StepIds::shifted; }

    /// As EnterStore needs it: relative to the store.
    std::string in_store(const std::string& path) const {
        if (!is_shifted()) return path;
        const std::string prefix = facts_.store + "/";
        if (!path.starts_with(prefix)) {
            refuse("usage.bad-step",
                   fmt::format("{} of a step is not in the store {}", util::quote(path), util::quote(facts_.store)));
        }
        return path.substr(prefix.size());
    }

    void mount_kernel_views() {
        add(MountFileSystem{.type = "proc", .target = "/proc", .options = {}, .flags = kKernelView},
            "programs look at their own processes");
        for (const char* path : {"bus", "fs", "irq", "sys", "sysrq-trigger"}) {
            add(op::ProtectPath<Owned>{.target = std::string("/proc/") + path},
                "root of the step is this machine's uid 0 for these files");
        }
        for (const char* path : {"acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug",
                                 "scsi", "timer_list", "timer_stats"}) {
            add(op::MaskPath<Owned>{.target = std::string("/proc/") + path},
                "tells about this machine, not about the step");
        }
        add(MountBind{.source = "/sys", .target = "/sys", .flags = op::kReadOnly | kKernelView, .recursive = 1},
            "programs look at devices and limits; a sysfs of its own needs a network of its own");
        for (const char* path : {"firmware", "devices/virtual/powercap"}) {
            add(op::MaskPath<Owned>{.target = std::string("/sys/") + path},
                "tells about this machine, not about the step");
        }
    }

    void mount_devices() {
        add(MountFileSystem{.type = "tmpfs",
                            .target = "/dev",
                            .options = {"mode=0755", "size=65536k"},
                            .flags = op::kNoSetuid | op::kNoExecute},
            "device nodes never reach a layer");
        for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
            const std::string path = std::string("/dev/") + name;
            add(op::MakeFile<Owned>{.target = path}, "where the device is attached");
            add(MountBind{.source = path, .target = path, .flags = op::kNoSetuid | op::kNoExecute, .recursive = 0},
                "a user namespace cannot make device nodes");
        }
        mount_in_dev("devpts", "/dev/pts", {"newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
                     "terminals of its own");
        mount_in_dev("tmpfs", "/dev/shm", {"mode=1777", fmt::format("size={}", spec_.limits.shared_memory)},
                     "shm_open(3) needs it");
        mount_in_dev("mqueue", "/dev/mqueue", {}, "mq_open(3) needs it");
        const std::pair<const char*, const char*> links[] = {{"ptmx", "pts/ptmx"},
                                                             {"fd", "/proc/self/fd"},
                                                             {"stdin", "/proc/self/fd/0"},
                                                             {"stdout", "/proc/self/fd/1"},
                                                             {"stderr", "/proc/self/fd/2"}};
        for (const auto& [name, content] : links) {
            add(op::MakeSymlink<Owned>{.target = std::string("/dev/") + name, .content = content},
                "a name that scripts use");
        }
    }

    void mount_in_dev(std::string type, std::string target, std::vector<std::string> options, std::string why) {
        add(op::MakeDirectory<Owned>{.target = target}, "where the file system is attached");
        add(MountFileSystem{std::move(type), std::move(target), std::move(options), kKernelView}, std::move(why));
    }

    void mount_texts() {
        if (!spec_.resolv_conf.empty()) {
            add(op::MountText<Owned>{.target = "/etc/resolv.conf", .text = spec_.resolv_conf},
                "names resolve as the builder says, and the layer keeps the image's file");
        }
        if (!spec_.hosts.empty()) {
            add(op::MountText<Owned>{.target = "/etc/hosts", .text = spec_.hosts},
                "localhost and extra hosts, and the layer keeps the image's file");
        }
    }

    void hold_bind(const BindMount& bind) {
        const std::uint32_t access = bind.access == Access::read_only ? std::uint32_t{op::kReadOnly} : 0;
        add(op::CloneBind<Owned>{.source = bind.source,
                                 .flags = access | op::kNoSetuid | op::kNoDevices,
                                 .shifted = is_shifted() ? 1U : 0U},
            "the step's root may not look for it itself");
    }

    void mount_wish(const BindMount& bind) {
        add(op::AttachBind<Owned>{.number = binds_++, .target = bind.target}, "the step asked for it");
    }

    void mount_wish(const TmpfsMount& tmpfs) {
        std::vector<std::string> options = {fmt::format("mode={:04o}", tmpfs.mode)};
        if (tmpfs.size != 0) options.push_back(fmt::format("size={}", tmpfs.size));
        add(MountFileSystem{.type = "tmpfs",
                            .target = tmpfs.target,
                            .options = std::move(options),
                            .flags = op::kNoSetuid | op::kNoDevices},
            "the step asked for it");
    }

    // Order: the filter may only be installed with CAP_SYS_ADMIN or no_new_privs, and the latter would break sudo and
    // file capabilities, so it comes before the capabilities go; the user changes last, since that takes CAP_SETUID.
    void become_command() {
        add(op::StartCommand<Owned>{}, "PID 1 stays behind to reap, and to end the step with the worker");
        add(op::ChangeDirectory<Owned>{.target = spec_.workdir}, "WORKDIR");
        add(op::InstallFilter<Owned>{.profile = "default", .program = {}},
            "the kernel's rarely used entrances stay shut");
        add(op::BoundCapabilities<Owned>{.capabilities = default_capabilities()},
            "not even a set-user-id program gets more than this");
        add(op::SetIdentity<Owned>{.uid = spec_.uid, .gid = spec_.gid, .groups = spec_.groups}, "USER");
        add(op::Execute<Owned>{.args = spec_.args, .env = spec_.env, .umask = spec_.umask}, "the command itself");
    }

    const StepSpec& spec_;
    const HostFacts& facts_;
    std::uint32_t binds_ = 0;
    SandboxPlan plan_;
};

}  // namespace

std::uint64_t default_capabilities() {
    std::uint64_t bits = 0;
    for (const int capability : kDefaultCapabilities) bits |= std::uint64_t{1} << static_cast<unsigned>(capability);
    return bits;
}

SandboxPlan plan_sandbox(const StepSpec& spec, const HostFacts& facts) {
    check_spec(spec);
    required_mount_points(spec);  // refuses bad targets
    return Planner(spec, facts).plan();
}

}  // namespace imgbuild::sandbox
