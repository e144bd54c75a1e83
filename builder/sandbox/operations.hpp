// The vocabulary of a sandbox plan: every operation that a step init can carry out, with its fields in one place.
//
// The worker and the init see the same operations in two forms. `Owned` (worker) has strings and vectors, `Viewed`
// (init) has views into the received bytes, since the init neither allocates nor links the standard library. The order
// in which fields() visits is the order on the wire (wire.hpp), and its names are those of the printed plan (plan.hpp).
//
// A plan is a list of operations that are carried out in order, by three processes one after the other:
//
//   outer     begins in the worker's namespaces, up to StartInit, then exits; opens what the step's own root could not
//   init      PID 1 of the step: from StartInit on; makes the root and enters it; forks at StartCommand and stays to
//   reap command   gives up what the command must not have, and becomes it with Execute, the last operation
//
// Paths called `target` are absolute paths of the step, resolved below its root; other paths are this machine's.
#pragma once

#include <cstdint>

namespace imgbuild::sandbox::op {

/// Bits of mount attributes; the same values as the kernel's MOUNT_ATTR_….
enum MountFlag : std::uint32_t { kReadOnly = 1, kNoSetuid = 2, kNoDevices = 4, kNoExecute = 8 };

/// Bits of NewNamespaces.
enum NamespaceFlag : std::uint32_t {
    kMountNs = 1,
    kIpcNs = 2,
    kUtsNs = 4,
    kCgroupNs = 8,
    kNetworkNs = 16,
    kPidNs = 32
};

/// kResource + n is the limit that setrlimit(2) knows as number n.
enum LimitKind : std::uint32_t { kOpenFiles = 1, kCoreSize = 2, kResource = 16 };

/// A resource limit; set while the init still has the worker's capabilities.
template <class Form>
struct SetLimit {
    static constexpr auto kName = "set-limit";
    std::uint32_t kind = 0;
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;
    static void fields(auto& self, auto&& visit) {
        visit("kind", self.kind), visit("soft", self.soft), visit("hard", self.hard);
    }
};

template <class Form>
struct SetOomScore {
    static constexpr auto kName = "set-oom-score";
    std::uint32_t value = 0;
    static void fields(auto& self, auto&& visit) { visit("value", self.value); }
};

/// The step's output pipes belong to its user from here on, in ids of the worker: a command that is not root could not
/// open /dev/stdout otherwise.
template <class Form>
struct GiveOutput {
    static constexpr auto kName = "give-output";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    static void fields(auto& self, auto&& visit) { visit("uid", self.uid), visit("gid", self.gid); }
};

/// Goes to the store's idmapped mount, which the init inherits as a descriptor, and works as `uid` and `gid` there (ids
/// of this machine: the step's root), with all capabilities. Relative paths of MountOverlay begin at the store.
template <class Form>
struct EnterStore {
    static constexpr auto kName = "enter-store";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    static void fields(auto& self, auto&& visit) { visit("uid", self.uid), visit("gid", self.gid); }
};

/// Holds a path of this machine as a mount that is attached nowhere, for AttachBind; the first is number 0. `shifted`:
/// with the ids of the build's user namespace. `recursive`: with the mounts below it.
template <class Form>
struct CloneBind {
    static constexpr auto kName = "clone-bind";
    typename Form::Text source{};
    std::uint32_t flags = 0;
    std::uint32_t shifted = 0;
    std::uint32_t recursive = 0;
    static void fields(auto& self, auto&& visit) {
        visit("source", self.source), visit("flags", self.flags), visit("shifted", self.shifted);
        visit("recursive", self.recursive);
    }
};

template <class Form>
struct AttachBind {
    static constexpr auto kName = "attach-bind";
    std::uint32_t number = 0;
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("number", self.number), visit("target", self.target); }
};

/// Joins the build's user namespace, which the init inherits as a descriptor.
template <class Form>
struct EnterUserNamespace {
    static constexpr auto kName = "enter-user-namespace";
    static void fields(auto&, auto&&) {}
};

template <class Form>
struct NewNamespaces {
    static constexpr auto kName = "new-namespaces";
    std::uint32_t namespaces = 0;
    static void fields(auto& self, auto&& visit) { visit("namespaces", self.namespaces); }
};

/// Goes on in PID 1 of the new pid namespace.
template <class Form>
struct StartInit {
    static constexpr auto kName = "start-init";
    static void fields(auto&, auto&&) {}
};

template <class Form>
struct SetHostname {
    static constexpr auto kName = "set-hostname";
    typename Form::Text name{};
    static void fields(auto& self, auto&& visit) { visit("name", self.name); }
};

/// Brings up "lo" in a network namespace of the step's own.
template <class Form>
struct RaiseLoopback {
    static constexpr auto kName = "raise-loopback";
    static void fields(auto&, auto&&) {}
};

/// Makes the step's root, still attached nowhere. `lowers`: newest first.
template <class Form>
struct MountOverlay {
    static constexpr auto kName = "mount-overlay";
    typename Form::TextList lowers{};
    typename Form::Text upper{};
    typename Form::Text work{};
    static void fields(auto& self, auto&& visit) {
        visit("lowers", self.lowers), visit("upper", self.upper), visit("work", self.work);
    }
};

/// A small tmpfs at `at`, a directory of this machine that nothing later needs, seen by this init only: it holds the
/// place where the root is attached and the texts of MountText, and is gone with the old root.
template <class Form>
struct MountScratch {
    static constexpr auto kName = "mount-scratch";
    typename Form::Text at{};
    static void fields(auto& self, auto&& visit) { visit("at", self.at); }
};

/// Attaches what MountOverlay made inside the scratch.
template <class Form>
struct AttachRoot {
    static constexpr auto kName = "attach-root";
    static void fields(auto&, auto&&) {}
};

/// A new instance of a file system. `options` as "key=value" or "flag"; `flags` of MountFlag.
template <class Form>
struct MountFileSystem {
    static constexpr auto kName = "mount-file-system";
    typename Form::Text type{};
    typename Form::Text target{};
    typename Form::TextList options{};
    std::uint32_t flags = 0;
    static void fields(auto& self, auto&& visit) {
        visit("type", self.type), visit("target", self.target), visit("options", self.options),
            visit("flags", self.flags);
    }
};

/// A path of this machine, made visible. `recursive`: with the mounts below it.
template <class Form>
struct MountBind {
    static constexpr auto kName = "mount-bind";
    typename Form::Text source{};
    typename Form::Text target{};
    std::uint32_t flags = 0;
    std::uint32_t recursive = 0;
    static void fields(auto& self, auto&& visit) {
        visit("source", self.source), visit("target", self.target), visit("flags", self.flags);
        visit("recursive", self.recursive);
    }
};

/// A file with `text`, of the step's root, never in its layer.
template <class Form>
struct MountText {
    static constexpr auto kName = "mount-text";
    typename Form::Text target{};
    typename Form::Text text{};
    std::uint32_t mode = 0;
    std::uint32_t flags = 0;
    static void fields(auto& self, auto&& visit) {
        visit("target", self.target), visit("text", self.text), visit("mode", self.mode), visit("flags", self.flags);
    }
};

/// Hides a kernel path behind /dev/null or an empty directory, if this kernel has it.
template <class Form>
struct MaskPath {
    static constexpr auto kName = "mask-path";
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target); }
};

/// Makes a kernel path read-only, if this kernel has it.
template <class Form>
struct ProtectPath {
    static constexpr auto kName = "protect-path";
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target); }
};

/// The next three work on file systems of the sandbox's own only (the step's /dev).
template <class Form>
struct MakeDirectory {
    static constexpr auto kName = "make-directory";
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target); }
};

template <class Form>
struct MakeFile {
    static constexpr auto kName = "make-file";
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target); }
};

template <class Form>
struct MakeSymlink {
    static constexpr auto kName = "make-symlink";
    typename Form::Text target{};
    typename Form::Text content{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target), visit("content", self.content); }
};

/// The attached root becomes "/", and this machine's file systems are gone.
template <class Form>
struct PivotRoot {
    static constexpr auto kName = "pivot-root";
    static void fields(auto&, auto&&) {}
};

/// Goes on in a child, in a session of its own; PID 1 stays to reap.
template <class Form>
struct StartCommand {
    static constexpr auto kName = "start-command";
    static void fields(auto&, auto&&) {}
};

template <class Form>
struct ChangeDirectory {
    static constexpr auto kName = "change-directory";
    typename Form::Text target{};
    static void fields(auto& self, auto&& visit) { visit("target", self.target); }
};

/// `program`: BPF instructions as the kernel takes them; `profile` names them for people. `unheard`: the same for where
/// somebody else listens to the worker's calls already, so that PID 1 cannot; empty if nobody does.
template <class Form>
struct InstallFilter {
    static constexpr auto kName = "install-filter";
    typename Form::Text profile{};
    typename Form::Bytes program{};
    typename Form::Bytes unheard{};
    static void fields(auto& self, auto&& visit) {
        visit("profile", self.profile), visit("program", self.program), visit("unheard", self.unheard);
    }
};

/// Bit n of `capabilities` is capability n. Everything else leaves the bounding set.
template <class Form>
struct BoundCapabilities {
    static constexpr auto kName = "bound-capabilities";
    std::uint64_t capabilities = 0;
    static void fields(auto& self, auto&& visit) { visit("capabilities", self.capabilities); }
};

/// Becomes this user; root keeps the bounded capabilities, everybody else none.
template <class Form>
struct SetIdentity {
    static constexpr auto kName = "set-identity";
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    typename Form::NumberList groups{};
    static void fields(auto& self, auto&& visit) {
        visit("uid", self.uid), visit("gid", self.gid), visit("groups", self.groups);
    }
};

template <class Form>
struct Execute {
    static constexpr auto kName = "execute";
    typename Form::TextList args{};
    typename Form::TextList env{};
    std::uint32_t umask = 0;
    static void fields(auto& self, auto&& visit) {
        visit("args", self.args), visit("env", self.env), visit("umask", self.umask);
    }
};

/// Leaves the worker's session keyring for an empty one.
template <class Form>
struct NewKeyring {
    static constexpr auto kName = "new-keyring";
    static void fields(auto&, auto&&) {}
};

/// Where the values of secrets are: `offset` bytes from the beginning of the file that the plan came in, one behind the
/// other. They are no part of the plan, so that no print of it has them.
template <class Form>
struct ReceiveSecrets {
    static constexpr auto kName = "receive-secrets";
    std::uint64_t offset = 0;
    typename Form::NumberList sizes{};
    static void fields(auto& self, auto&& visit) { visit("offset", self.offset), visit("sizes", self.sizes); }
};

/// A read-only file with the value of a secret, never on a disk.
template <class Form>
struct MountSecret {
    static constexpr auto kName = "mount-secret";
    std::uint32_t secret = 0;
    typename Form::Text target{};
    std::uint32_t mode = 0;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    static void fields(auto& self, auto&& visit) {
        visit("secret", self.secret), visit("target", self.target), visit("mode", self.mode);
        visit("uid", self.uid), visit("gid", self.gid);
    }
};

/// The command's environment gets a variable with the value of a secret.
template <class Form>
struct SetSecretVariable {
    static constexpr auto kName = "set-secret-variable";
    typename Form::Text name{};
    std::uint32_t secret = 0;
    static void fields(auto& self, auto&& visit) { visit("name", self.name), visit("secret", self.secret); }
};

/// Makes an overlay that is attached nowhere, for AttachTree; the first is number 0. Fields as of MountOverlay.
template <class Form>
struct HoldTree {
    static constexpr auto kName = "hold-tree";
    typename Form::TextList lowers{};
    typename Form::Text upper{};
    typename Form::Text work{};
    static void fields(auto& self, auto&& visit) {
        visit("lowers", self.lowers), visit("upper", self.upper), visit("work", self.work);
    }
};

/// Shows a place inside a held tree; `source`: relative to the tree's root, empty for the root itself.
template <class Form>
struct AttachTree {
    static constexpr auto kName = "attach-tree";
    std::uint32_t number = 0;
    typename Form::Text source{};
    typename Form::Text target{};
    std::uint32_t flags = 0;
    static void fields(auto& self, auto&& visit) {
        visit("number", self.number), visit("source", self.source), visit("target", self.target);
        visit("flags", self.flags);
    }
};

/// A place for a mount inside what an earlier operation has mounted, if it is not there: an empty directory, or an
/// empty file if `file` is not 0. Missing directories on the way are made as well.
template <class Form>
struct MakeMountPoint {
    static constexpr auto kName = "make-mount-point";
    typename Form::Text target{};
    std::uint32_t file = 0;
    static void fields(auto& self, auto&& visit) { visit("target", self.target), visit("file", self.file); }
};

/// Flags for a mount that could not have them from the beginning, as others had to be attached inside it.
template <class Form>
struct SetMountFlags {
    static constexpr auto kName = "set-mount-flags";
    typename Form::Text target{};
    std::uint32_t flags = 0;
    static void fields(auto& self, auto&& visit) { visit("target", self.target), visit("flags", self.flags); }
};

/// Holds a directory of this machine as the step's root, in place of MountOverlay. `shifted` as of CloneBind.
template <class Form>
struct HoldRoot {
    static constexpr auto kName = "hold-root";
    typename Form::Text source{};
    std::uint32_t shifted = 0;
    static void fields(auto& self, auto&& visit) { visit("source", self.source), visit("shifted", self.shifted); }
};

/// All of them; the position (from 0) is the code on the wire, so new ones go to the end.
template <template <class...> class Collect, class Form>
using All = Collect<SetLimit<Form>, SetOomScore<Form>, EnterUserNamespace<Form>, NewNamespaces<Form>, StartInit<Form>,
                    SetHostname<Form>, RaiseLoopback<Form>, MountOverlay<Form>, MountScratch<Form>, AttachRoot<Form>,
                    MountFileSystem<Form>, MountBind<Form>, MountText<Form>, MaskPath<Form>, ProtectPath<Form>,
                    MakeDirectory<Form>, MakeFile<Form>, MakeSymlink<Form>, PivotRoot<Form>, StartCommand<Form>,
                    ChangeDirectory<Form>, InstallFilter<Form>, BoundCapabilities<Form>, SetIdentity<Form>,
                    Execute<Form>, NewKeyring<Form>, GiveOutput<Form>, EnterStore<Form>, CloneBind<Form>,
                    AttachBind<Form>, ReceiveSecrets<Form>, MountSecret<Form>, SetSecretVariable<Form>, HoldTree<Form>,
                    AttachTree<Form>, MakeMountPoint<Form>, SetMountFlags<Form>, HoldRoot<Form>>;

/// How many CloneBind a plan may have. One of them is for /proc.
inline constexpr std::uint32_t kMaxBinds = 65;
/// How many HoldTree a plan may have.
inline constexpr std::uint32_t kMaxTrees = 64;

}  // namespace imgbuild::sandbox::op
