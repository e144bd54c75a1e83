// The two things that a worker process owns besides its threads: a mount namespace and, per build, a user namespace.
#pragma once

#include <cstdint>
#include <string>

#include "builder/sandbox/host_facts.hpp"
#include "util/fd.hpp"

namespace imgbuild::sandbox {

/// Gives this process a mount namespace of its own from which nothing propagates back, and a plain user one of its ids
/// before (plain_user.hpp): afterwards the process is root, of this machine or of that namespace, and owns every id of
/// its trees. To be called once, at the very start and while the process has one thread (threads made later share the
/// namespaces, earlier ones would not). Closes nothing. Throws IoError; Error ("machine.…") for a user who cannot.
void enter_worker();

/// The ids that root's steps have outside, where they are shifted: 0 to kShiftedIds - 1 become kFirstShiftedId and
/// following. The upper half of all ids, which nobody assigns to users, since they are negative to programs that take
/// ids for signed numbers; with it, every id that an image can sensibly have.
inline constexpr std::uint32_t kFirstShiftedId = 0x80000000U;
inline constexpr std::uint32_t kShiftedIds = 0x7fff0000U;

/// The user namespace in which all steps of one build run, held as a descriptor: it lives exactly as long as somebody
/// holds it or runs in it. Made by a child that is gone when create() returns, whatever happens.
class BuildNamespace {
public:
    /// Any thread may call. `ids` is not StepIds::none. Throws IoError.
    static BuildNamespace create(StepIds ids);

    int fd() const { return fd_.get(); }

private:
    explicit BuildNamespace(util::Fd fd) : fd_(std::move(fd)) {}
    util::Fd fd_;
};

/// The directory `store` as a mount that is attached nowhere and whose owners are those of `ids` (shifted). Throws
/// IoError where the kernel or the file system has no such mounts, or `store` is not ours to shift.
util::Fd clone_idmapped(const std::string& store, const BuildNamespace& ids);

}  // namespace imgbuild::sandbox
