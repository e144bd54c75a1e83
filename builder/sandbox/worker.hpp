// The two things that a worker process owns besides its threads: a mount namespace and, per build, a user namespace.
#pragma once

#include "util/fd.hpp"

namespace imgbuild::sandbox {

/// Gives this process a mount namespace of its own from which nothing propagates back. To be called once, at the very
/// start and while the process has one thread (threads made later share the namespace, earlier ones would not).
/// Closes nothing. Throws IoError; "machine.not-root" for a plain user, whose rung is not there yet.
void enter_worker();

/// The user namespace in which all steps of one build run, held as a descriptor: it lives exactly as long as somebody
/// holds it or runs in it. Made by a child that is gone when create() returns, whatever happens.
class BuildNamespace {
public:
    /// Root's namespace with the identity map, 0 to 2^32-2. Any thread may call. Throws IoError.
    static BuildNamespace create();

    int fd() const { return fd_.get(); }

private:
    explicit BuildNamespace(util::Fd fd) : fd_(std::move(fd)) {}
    util::Fd fd_;
};

}  // namespace imgbuild::sandbox
