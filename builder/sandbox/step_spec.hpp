// What the builder asks of a sandbox: one command, its surroundings and its root file system. A plain value, free of
// any knowledge about this machine; plan.hpp turns it into operations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace imgbuild::sandbox {

enum class Access { read_only, read_write };
enum class NodeKind { directory, file };
enum class NetworkMode {
    /// The worker's network as it is. Said in the step's line of the output.
    host,
    /// A network namespace with nothing but a loopback interface that is up.
    none,
};

enum class Confinement {
    sandboxed,
    /// Root of this machine with all of the worker's capabilities, without a user namespace, a seccomp filter or masks
    /// (`RUN --security=insecure`). Mounts, processes and names are still the step's own.
    insecure,
};

/// How a step gets a root file system that it can write to; the best first.
enum class RootForm {
    /// Trees of the store below, an upper directory in the store above.
    overlay,
    /// As before, but the upper directory is in memory, since the store's file system cannot have one (an overlay
    /// itself, for example); what it holds is copied into the store when the step is over.
    overlay_in_memory,
    /// A copy of all that the trees show.
    copy,
};

/// A path of this machine made visible in the step (a `RUN --mount=type=bind` whose source was already resolved by
/// the builder, below our store or through a RootedDir). Never carries devices or set-user-id bits into the step.
/// A directory comes without what is mounted below it.
struct BindMount {
    /// Absolute path of this machine; the last component is not followed if it is a symbolic link.
    std::string source;
    /// Absolute path in the step.
    std::string target;
    Access access = Access::read_only;
    NodeKind kind = NodeKind::directory;

    friend bool operator==(const BindMount&, const BindMount&) = default;
};

/// A place inside a stack of trees of our store, as an overlay of them shows it (a `RUN --mount=type=bind`). What the
/// step writes there goes to `upper` and is thrown away by whoever asked for the step.
struct TreeMount {
    /// Newest first, at least one; absolute paths of this machine. They are only read.
    std::vector<std::string> lowers;
    /// As `upper` and `work` of a step: existing empty directories of one file system, never used again.
    std::string upper;
    std::string work;
    /// Path below the stack's root: relative, clean, without links on the way. Empty: the root itself.
    std::string source;
    std::string target;
    Access access = Access::read_only;
    NodeKind kind = NodeKind::directory;

    friend bool operator==(const TreeMount&, const TreeMount&) = default;
};

struct TmpfsMount {
    std::string target;
    /// Bytes; 0 is the kernel's default, half of the memory.
    std::uint64_t size = 0;
    std::uint32_t mode = 01777;

    friend bool operator==(const TmpfsMount&, const TmpfsMount&) = default;
};

/// A file with the value of a secret, made by the step's init on a file system in memory.
struct SecretMount {
    /// Position in StepSpec::secrets.
    std::uint32_t secret = 0;
    std::string target;
    std::uint32_t mode = 0400;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;

    friend bool operator==(const SecretMount&, const SecretMount&) = default;
};

using Mount = std::variant<BindMount, TreeMount, TmpfsMount, SecretMount>;

/// A program text that the command finds as /dev/pipes/NAME, executable and read-only.
struct Script {
    /// One file name.
    std::string name;
    std::string text;

    friend bool operator==(const Script&, const Script&) = default;
};

/// An environment variable with the value of a secret.
struct SecretVariable {
    std::string name;
    /// Position in StepSpec::secrets.
    std::uint32_t secret = 0;

    friend bool operator==(const SecretVariable&, const SecretVariable&) = default;
};

/// A limit of setrlimit(2).
struct ResourceLimit {
    /// "cpu", "nproc", …: the names that `--ulimit` knows.
    std::string name;
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;

    friend bool operator==(const ResourceLimit&, const ResourceLimit&) = default;
};
/// Anything above every number.
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
/// RLIMIT_… for a name of ResourceLimit; nothing if there is no such limit.
std::optional<std::uint32_t> resource_number(std::string_view name);

struct Limits {
    /// Lowered to what this machine lets us give.
    std::uint64_t open_files_soft = 1048576;
    std::uint64_t open_files_hard = 1048576;
    /// /dev/shm, in bytes.
    std::uint64_t shared_memory = 64ULL << 20U;
    /// Beyond the limit of open files above, which an entry "nofile" takes the place of.
    std::vector<ResourceLimit> more;

    friend bool operator==(const Limits&, const Limits&) = default;
};

/// Defaults are those that `docker build` users know.
struct StepSpec {
    /// The program and its arguments. A program without "/" is looked for in the PATH of `env`.
    std::vector<std::string> args;
    /// "NAME=value", exactly what the command finds; nothing of the worker's own environment is added.
    std::vector<std::string> env;
    /// Absolute, inside the root. Must exist there.
    std::string workdir = "/";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    /// Supplementary groups, as the kernel gets them; `gid` may be among them.
    std::vector<std::uint32_t> groups;
    std::string hostname = "buildkitsandbox";

    /// The root file system itself, if it is no overlay (RootForm::copy): absolute path of an existing directory of our
    /// store, which the step changes. `lowers`, `upper` and `work` are not used then.
    std::string tree;
    /// Trees of our store, newest first: absolute paths of this machine. At least one. They are only read.
    std::vector<std::string> lowers;
    /// Takes the changes. Absolute path of an existing directory; its owner, mode and xattrs are those of the step's
    /// "/".
    std::string upper;
    /// overlayfs' scratch directory: existing, empty, on the same file system as `upper`, and never used again
    /// (a volatile overlay leaves a mark there which refuses a second mount).
    std::string work;

    /// Attached in this order, after everything that the sandbox mounts itself. One may lie inside an earlier one.
    std::vector<Mount> mounts;
    std::vector<Script> scripts;
    /// Memory files with the values of secrets, from their start to their end; the caller keeps them open. A value is
    /// in no plan that is printed.
    std::vector<int> secrets;
    /// They take the place of variables of the same name in `env`.
    std::vector<SecretVariable> secret_env;
    /// Text of the step's /etc/resolv.conf and /etc/hosts, which are mounted read-write over whatever the image has
    /// and never reach the layer. Empty: the image's own file stays.
    std::string resolv_conf;
    std::string hosts;
    NetworkMode network = NetworkMode::host;
    Confinement confinement = Confinement::sandboxed;
    std::uint32_t umask = 022;
    Limits limits;

    friend bool operator==(const StepSpec&, const StepSpec&) = default;
};

/// A place in the root that must exist before the step starts, since a mount is attached to it.
struct MountPoint {
    /// Absolute, cleaned, inside the root.
    std::string path;
    NodeKind kind;

    friend bool operator==(const MountPoint&, const MountPoint&) = default;
};

/// Every mount point of a step, parents before children, each path once. The sandbox makes none of them: whoever asks
/// for a step sees to it that they exist in one of the lowers (a scaffold tree), so that they never appear in the
/// layer. A target inside an earlier mount's target is not among them: the init makes it there. Pure. Throws UsageError
/// ("usage.bad-mount-target") for a target that is not absolute, has ".." in it, is the root, or lies in or above a
/// directory that the sandbox owns (/proc, /sys, /dev) in a way that would uncover it.
std::vector<MountPoint> required_mount_points(const StepSpec& spec);

/// A requested mount's place, cleaned.
struct PlacedMount {
    MountPoint point;
    /// The target lies inside that of an earlier mount, by its path.
    bool inside_another = false;
    bool has_others_inside = false;
};

/// Of `spec.mounts`, in their order. Pure; throws as required_mount_points().
std::vector<PlacedMount> placed_mounts(const StepSpec& spec);

}  // namespace imgbuild::sandbox
