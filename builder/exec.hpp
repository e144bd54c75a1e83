// The Exec operation: one command, and everything that it can observe besides its base (graph.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace imgbuild::builder {

using NodeId = std::size_t;

enum class Network { host, none };
enum class Security {
    sandbox,
    /// As root of the machine, with every capability: only with `--allow security.insecure`.
    insecure,
};

/// Files of another node, seen and not copied. Targets of all mounts are absolute.
struct BindMount {
    /// Nothing: an empty file system.
    std::optional<NodeId> from;
    /// Path in `from`; empty: its root.
    std::string source;
    std::string target;
    /// What is written is thrown away.
    bool writable = false;
    /// `from` has nothing but what is mounted, so its layers say all that there is to know of it.
    bool exact = false;
};

/// A directory of the store that outlives builds. Its contents are in no key: they must not change the result.
struct CacheMount {
    enum class Sharing { shared, exclusive, locked };

    /// With its name space (BUILDKIT_CACHE_MOUNT_NS) in front.
    std::string id;
    std::string target;
    /// What a new cache begins with; nothing: empty.
    std::optional<NodeId> from;
    std::string source;
    Sharing sharing = Sharing::shared;
    bool read_only = false;
    /// Of the directory when it is new; other values, another cache.
    std::uint32_t mode = 0755;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

struct TmpfsMount {
    std::string target;
    /// Bytes; 0 is the kernel's default.
    std::uint64_t size = 0;
};

/// A secret as a file, a variable, or both. Its value is in no key.
struct SecretMount {
    std::string id;
    /// Empty: no file.
    std::string target;
    /// Empty: no variable.
    std::string env;
    bool required = false;
    std::uint32_t mode = 0400;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

/// The socket of an ssh agent; SSH_AUTH_SOCK names the first one.
struct SshMount {
    std::string id;
    std::string target;
    bool required = false;
    std::uint32_t mode = 0600;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

using ExecMount = std::variant<BindMount, CacheMount, TmpfsMount, SecretMount, SshMount>;

/// A program text of the build file, which the command finds as /dev/pipes/NAME.
struct Script {
    /// One file name.
    std::string name;
    std::string text;
};

/// A limit of setrlimit(2) by its name without RLIMIT_, in lower case.
struct Ulimit {
    std::string name;
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;
};

/// One command. Everything that it can observe is in here or in its base.
struct Exec {
    std::vector<std::string> args;
    /// "NAME=value", sorted out already: what the command finds.
    std::vector<std::string> env;
    /// More variables that the command finds, which must not change its result and are in no key (proxies).
    std::vector<std::string> unkeyed_env;
    std::string workdir = "/";
    /// "user[:group]" as the image has it, names or numbers; empty is root.
    std::string user;
    Network network = Network::host;
    Security security = Security::sandbox;
    /// In the order of the build file; a later one may lie inside an earlier one.
    std::vector<ExecMount> mounts;
    std::vector<Script> scripts;
    /// Name and address: lines for /etc/hosts.
    std::vector<std::pair<std::string, std::string>> hosts;
    std::vector<Ulimit> ulimits;
    /// Of /dev/shm, bytes; 0: the default.
    std::uint64_t shm_size = 0;
};

/// "shared", "private" or "locked".
std::string_view name_of(CacheMount::Sharing sharing);

/// The node that a mount's files come from, if it has one.
std::optional<NodeId> source_of(const ExecMount& mount);

}  // namespace imgbuild::builder
