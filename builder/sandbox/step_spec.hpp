// What the builder asks of a sandbox: one command, its surroundings and its root file system. A plain value, free of
// any knowledge about this machine; plan.hpp turns it into operations.
#pragma once

#include <cstdint>
#include <string>
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

struct TmpfsMount {
    std::string target;
    /// Bytes; 0 is the kernel's default, half of the memory.
    std::uint64_t size = 0;
    std::uint32_t mode = 0755;

    friend bool operator==(const TmpfsMount&, const TmpfsMount&) = default;
};

using Mount = std::variant<BindMount, TmpfsMount>;

struct Limits {
    /// Lowered to what this machine lets us give.
    std::uint64_t open_files_soft = 1048576;
    std::uint64_t open_files_hard = 1048576;
    /// /dev/shm, in bytes.
    std::uint64_t shared_memory = 64ULL << 20U;

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

    /// Trees of our store, newest first: absolute paths of this machine. At least one. They are only read.
    std::vector<std::string> lowers;
    /// Takes the changes. Absolute path of an existing directory; its owner, mode and xattrs are those of the step's
    /// "/".
    std::string upper;
    /// overlayfs' scratch directory: existing, empty, on the same file system as `upper`, and never used again
    /// (a volatile overlay leaves a mark there which refuses a second mount).
    std::string work;

    /// Attached in this order, after everything that the sandbox mounts itself.
    std::vector<Mount> mounts;
    /// Text of the step's /etc/resolv.conf and /etc/hosts, which are mounted read-write over whatever the image has
    /// and never reach the layer. Empty: the image's own file stays.
    std::string resolv_conf;
    std::string hosts;
    NetworkMode network = NetworkMode::host;
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
/// layer. Pure. Throws UsageError ("usage.bad-mount-target") for a target that is not absolute, has ".." in it, is the
/// root, or lies in or above a directory that the sandbox owns (/proc, /sys, /dev) in a way that would uncover it.
std::vector<MountPoint> required_mount_points(const StepSpec& spec);

}  // namespace imgbuild::sandbox
