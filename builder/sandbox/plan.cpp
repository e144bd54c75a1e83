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

void check_trees(const StepSpec& spec) {
    std::uint32_t count = 0;
    for (const Mount& mount : spec.mounts) {
        const auto* tree = std::get_if<TreeMount>(&mount);
        if (tree == nullptr) continue;
        if (++count > op::kMaxTrees) {
            refuse("usage.bad-step", fmt::format("a step has more than {} bind mounts", op::kMaxTrees));
        }
        if (tree->lowers.empty()) refuse("usage.bad-step", "a bind mount of a step has no files to show");
        for (const std::string& lower : tree->lowers) require_absolute(lower, "lower tree");
        require_absolute(tree->upper, "upper directory");
        require_absolute(tree->work, "work directory");
        require_no_nul(tree->source, "mount source");
    }
}

void check_secrets(const StepSpec& spec) {
    const auto check_one = [&spec](std::uint32_t secret) {
        if (secret >= spec.secrets.size()) refuse("usage.bad-step", "a step uses a secret that it does not have");
    };
    for (const Mount& mount : spec.mounts) {
        if (const auto* file = std::get_if<SecretMount>(&mount)) check_one(file->secret);
    }
    for (const SecretVariable& variable : spec.secret_env) {
        require_no_nul(variable.name, "environment");
        check_one(variable.secret);
    }
}

void check_spec(const StepSpec& spec) {
    if (spec.args.empty() || spec.args.front().empty()) refuse("usage.bad-step", "a step has no command");
    if (spec.lowers.empty() && spec.tree.empty()) refuse("usage.bad-step", "a step has no root file system");
    for (const std::string& lower : spec.lowers) require_absolute(lower, "lower tree");
    check_trees(spec);
    check_secrets(spec);
    if (spec.tree.empty()) {
        require_absolute(spec.upper, "upper directory");
        require_absolute(spec.work, "work directory");
    } else {
        require_absolute(spec.tree, "root directory");
    }
    require_absolute(spec.workdir, "working directory");
    for (const std::string& arg : spec.args) require_no_nul(arg, "argument");
    for (const std::string& variable : spec.env) require_no_nul(variable, "environment");
    for (const std::string* path : {&spec.tree, &spec.upper, &spec.work, &spec.workdir, &spec.hostname})
        require_no_nul(*path, "setting");
    for (const std::string& lower : spec.lowers) require_no_nul(lower, "lower tree");
    const auto is_bind = [](const Mount& mount) { return std::holds_alternative<BindMount>(mount); };
    const auto binds = std::count_if(spec.mounts.begin(), spec.mounts.end(), is_bind);
    if (binds > std::int64_t{op::kMaxBinds - 1}) {
        refuse("usage.bad-step",
               fmt::format("a step has {} bind mounts, and at most {} are possible", binds, op::kMaxBinds - 1));
    }
}

class Planner {
public:
    Planner(const StepSpec& spec, const HostFacts& facts) : spec_(spec), facts_(facts), placed_(placed_mounts(spec)) {}

    SandboxPlan plan() {
        leave_worker();
        make_root();
        start_init();
        attach_root();
        mount_kernel_views();
        mount_devices();
        mount_texts();
        mount_wishes();
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
        if (!spec_.secrets.empty()) add(op::ReceiveSecrets<Owned>{}, "their values stay out of the plan");
        const std::uint64_t hard = std::min(spec_.limits.open_files_hard, facts_.open_file_limit);
        add(
            op::SetLimit<Owned>{
                .kind = op::kOpenFiles, .soft = std::min(spec_.limits.open_files_soft, hard), .hard = hard},
            "steps find the same limit whatever the caller's shell had");
        add(op::SetLimit<Owned>{.kind = op::kCoreSize, .soft = 0, .hard = 0},
            "a crash leaves no core file in the layer");
        for (const ResourceLimit& more : spec_.limits.more) {
            const auto number = resource_number(more.name);
            if (!number) refuse("usage.bad-step", fmt::format("a step has an unknown limit {}", more.name));
            add(op::SetLimit<Owned>{.kind = op::kResource + *number, .soft = more.soft, .hard = more.hard},
                "the build asked for it");
        }
        add(op::SetOomScore<Owned>{.value = static_cast<std::uint32_t>(std::max(0, facts_.oom_score_adjustment))},
            "short of memory, the kernel ends the step before the worker");
        add(op::NewKeyring<Owned>{}, "the worker's keys are not the step's");
        const std::uint32_t shift = is_shifted() ? kFirstShiftedId : 0;
        add(op::GiveOutput<Owned>{.uid = shift + spec_.uid, .gid = shift + spec_.gid},
            "a command that is not root may open /dev/stdout");
        if (!has_own_proc()) {
            add(
                op::CloneBind<Owned>{
                    .source = "/proc", .flags = op::kReadOnly | kKernelView, .shifted = 0, .recursive = 1},
                "parts of /proc are covered here, and then the kernel lets nobody mount another");
        }
        for (std::size_t i = 0; i < spec_.mounts.size(); ++i) {
            if (const auto* bind = std::get_if<BindMount>(&spec_.mounts[i])) hold_bind(*bind, first_flags(i));
        }
    }

    // Where ids are shifted, the overlay is made outside of the step's user namespace, since only there may one look at
    // the store. Otherwise inside, so that it belongs to that namespace.
    void make_root() {
        if (is_copied()) {
            add(op::HoldRoot<Owned>{.source = spec_.tree, .shifted = is_shifted() ? 1U : 0U},
                "the step changes a copy, where no overlay can be had");
        }
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
        if (!is_insecure()) {
            add(op::EnterUserNamespace<Owned>{}, "capabilities of the step count for its own namespaces only");
        }
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
        if (!is_copied()) {
            op::MountOverlay<Owned> overlay{.upper = in_store(spec_.upper), .work = in_store(spec_.work)};
            for (const std::string& lower : spec_.lowers) overlay.lowers.push_back(in_store(lower));
            add(std::move(overlay), "what the step changes lands in the upper directory alone");
        }
        for (const Mount& mount : spec_.mounts) {
            if (const auto* tree = std::get_if<TreeMount>(&mount)) hold_tree(*tree);
        }
    }

    void hold_tree(const TreeMount& tree) {
        op::HoldTree<Owned> held{.upper = in_store(tree.upper), .work = in_store(tree.work)};
        for (const std::string& lower : tree.lowers) held.lowers.push_back(in_store(lower));
        add(std::move(held), "what the step writes there is thrown away");
    }

    void attach_root() {
        if (!is_shifted()) mount_overlay();
        add(op::MountScratch<Owned>{.at = "/proc"}, "a place that only this init sees, to build the root in");
        add(op::AttachRoot<Owned>{}, "mounts can only be attached below a mount that is attached itself");
    }

    bool is_copied() const { return !spec_.tree.empty(); }
    /// Without a user namespace of its own a step is refused nothing.
    bool has_own_proc() const { return facts_.mount_proc || is_insecure(); }
    bool is_insecure() const { return spec_.confinement == Confinement::insecure; }
    bool is_shifted() const { return facts_.ids == StepIds::shifted && !is_insecure(); }

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
        if (has_own_proc()) {
            add(MountFileSystem{.type = "proc", .target = "/proc", .options = {}, .flags = kKernelView},
                "programs look at their own processes");
        } else {
            add(op::AttachBind<Owned>{.number = binds_++, .target = "/proc"}, "programs look at their own processes");
        }
        if (is_insecure()) {
            add(MountBind{.source = "/sys", .target = "/sys", .flags = kKernelView, .recursive = 1},
                "the build allowed the step to change this machine");
            return;
        }
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
        mount_shared_memory();
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

    // One that the step asks for takes its place, so that programs see one mount and not two.
    void mount_shared_memory() {
        const bool asked = std::any_of(placed_.begin(), placed_.end(),
                                       [](const PlacedMount& mount) { return mount.point.path == "/dev/shm"; });
        if (asked) {
            add(op::MakeDirectory<Owned>{.target = "/dev/shm"}, "where the file system is attached");
            return;
        }
        mount_in_dev("tmpfs", "/dev/shm", {"mode=1777", fmt::format("size={}", spec_.limits.shared_memory)},
                     "shm_open(3) needs it");
    }

    void mount_texts() {
        constexpr std::uint32_t kFlags = op::kNoSetuid | op::kNoDevices | op::kNoExecute;
        if (!spec_.resolv_conf.empty()) {
            add(
                op::MountText<Owned>{
                    .target = "/etc/resolv.conf", .text = spec_.resolv_conf, .mode = 0644, .flags = kFlags},
                "names resolve as the builder says, and the layer keeps the image's file");
        }
        if (!spec_.hosts.empty()) {
            add(op::MountText<Owned>{.target = "/etc/hosts", .text = spec_.hosts, .mode = 0644, .flags = kFlags},
                "localhost and extra hosts, and the layer keeps the image's file");
        }
        if (!spec_.scripts.empty()) {
            add(op::MakeDirectory<Owned>{.target = "/dev/pipes"}, "where scripts of the build file lie");
        }
        for (const Script& script : spec_.scripts) {
            const std::string target = "/dev/pipes/" + script.name;
            add(op::MakeFile<Owned>{.target = target}, "where the script is attached");
            add(op::MountText<Owned>{.target = target,
                                     .text = script.text,
                                     .mode = 0755,
                                     .flags = op::kReadOnly | op::kNoSetuid | op::kNoDevices},
                "a script of the build file with an interpreter of its own");
        }
    }

    std::uint32_t flags_for(std::size_t mount) const {
        return std::visit([](const auto& wish) { return flags_of(wish); }, spec_.mounts[mount]) | op::kNoSetuid;
    }
    /// A mount with others inside it is written to until their places are made.
    std::uint32_t first_flags(std::size_t mount) const {
        const std::uint32_t flags = flags_for(mount);
        return placed_[mount].has_others_inside ? flags & ~std::uint32_t{op::kReadOnly} : flags;
    }

    void mount_wishes() {
        for (std::size_t i = 0; i < placed_.size(); ++i) {
            if (placed_[i].inside_another) {
                add(op::MakeMountPoint<Owned>{.target = placed_[i].point.path,
                                              .file = placed_[i].point.kind == NodeKind::file ? 1U : 0U},
                    "the mount that it lies in may not have the place");
            }
            std::visit([&](const auto& wish) { mount_wish(wish, first_flags(i)); }, spec_.mounts[i]);
        }
        for (std::size_t i = 0; i < placed_.size(); ++i) {
            if (flags_for(i) == first_flags(i)) continue;
            add(op::SetMountFlags<Owned>{.target = placed_[i].point.path, .flags = flags_for(i)},
                "the places inside it are made, and the step only reads it");
        }
    }

    static std::uint32_t access_flag(Access access) { return access == Access::read_only ? op::kReadOnly : 0U; }
    static std::uint32_t flags_of(const BindMount& bind) { return access_flag(bind.access) | op::kNoDevices; }
    static std::uint32_t flags_of(const TreeMount& tree) { return access_flag(tree.access) | op::kNoDevices; }
    // A user namespace cannot make device nodes that work on a tmpfs of its own.
    static std::uint32_t flags_of(const TmpfsMount&) { return 0; }
    static std::uint32_t flags_of(const SecretMount&) { return 0; }

    void hold_bind(const BindMount& bind, std::uint32_t flags) {
        add(
            op::CloneBind<Owned>{
                .source = bind.source, .flags = flags, .shifted = is_shifted() ? 1U : 0U, .recursive = 0},
            "the step's root may not look for it itself");
    }

    void mount_wish(const BindMount& bind, std::uint32_t) {
        add(op::AttachBind<Owned>{.number = binds_++, .target = bind.target}, "the step asked for it");
    }

    void mount_wish(const TreeMount& tree, std::uint32_t flags) {
        add(op::AttachTree<Owned>{.number = trees_++, .source = tree.source, .target = tree.target, .flags = flags},
            "the step asked for it");
    }

    void mount_wish(const TmpfsMount& tmpfs, std::uint32_t flags) {
        std::vector<std::string> options;
        if (tmpfs.mode != 01777) options.push_back(fmt::format("mode={:04o}", tmpfs.mode));
        if (tmpfs.size != 0) options.push_back(fmt::format("size={}", tmpfs.size));
        add(MountFileSystem{.type = "tmpfs", .target = tmpfs.target, .options = std::move(options), .flags = flags},
            "the step asked for it");
    }

    void mount_wish(const SecretMount& secret, std::uint32_t) {
        add(op::MountSecret<Owned>{.secret = secret.secret,
                                   .target = secret.target,
                                   .mode = secret.mode,
                                   .uid = secret.uid,
                                   .gid = secret.gid},
            "the step asked for it, and it must be on no disk");
    }

    std::vector<std::string> env_without_secrets() const {
        std::vector<std::string> out;
        for (const std::string& variable : spec_.env) {
            const std::string_view name = std::string_view(variable).substr(0, variable.find('='));
            const bool replaced = std::any_of(spec_.secret_env.begin(), spec_.secret_env.end(),
                                              [&](const SecretVariable& secret) { return secret.name == name; });
            if (!replaced) out.push_back(variable);
        }
        return out;
    }

    // Order: the filter may only be installed with CAP_SYS_ADMIN or no_new_privs, and the latter would break sudo and
    // file capabilities, so it comes before the capabilities go; the user changes last, since that takes CAP_SETUID.
    void become_command() {
        add(op::StartCommand<Owned>{}, "PID 1 stays behind to reap, and to end the step with the worker");
        add(op::ChangeDirectory<Owned>{.target = spec_.workdir}, "WORKDIR");
        if (is_insecure()) {
            add(op::BoundCapabilities<Owned>{.capabilities = ~std::uint64_t{0}},
                "the build allowed the step all that the worker has");
        } else {
            add(op::InstallFilter<Owned>{.profile = "default", .program = {}},
                "the kernel's rarely used entrances stay shut");
            add(op::BoundCapabilities<Owned>{.capabilities = default_capabilities()},
                "not even a set-user-id program gets more than this");
        }
        add(op::SetIdentity<Owned>{.uid = spec_.uid, .gid = spec_.gid, .groups = spec_.groups}, "USER");
        for (const SecretVariable& variable : spec_.secret_env) {
            add(op::SetSecretVariable<Owned>{.name = variable.name, .secret = variable.secret},
                "the step asked for it, and its value is in no key");
        }
        add(op::Execute<Owned>{.args = spec_.args, .env = env_without_secrets(), .umask = spec_.umask},
            "the command itself");
    }

    const StepSpec& spec_;
    const HostFacts& facts_;
    std::vector<PlacedMount> placed_;
    std::uint32_t binds_ = 0;
    std::uint32_t trees_ = 0;
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
