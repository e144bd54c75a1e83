// Answers system calls of the step that the kernel hands to us (seccomp user notification): devices, which no user
// namespace may make, and extended attributes, among which are the notes that stand for devices and owners.
//
// The filter is installed by the command's process before it becomes the command; its listener goes to PID 1 over a
// pair of sockets. PID 1 is the right one to answer: it is in the step's namespaces, is root there with all
// capabilities, and nobody in the step can look into it. What it does for a caller it does as the caller (caller.hpp).
//
//   mknod, mknodat of a device     by a caller with CAP_MKNOD, in the step's root: an empty file with the device's
//                                  numbers as a note (layers/tree_marks.hpp), which scan_upper() makes a device of.
//                                  Char 0:0 is refused, as overlayfs does: it is how overlays say "deleted". Outside
//                                  of the root (a mount, /dev) nothing would come of the note: refused.
//   setxattr, lsetxattr, fsetxattr a caller with the rights of root does it himself ("continue"), except for file
//                                  capabilities: where the file system has no room for them they become a note.
//                                  For everybody else it is done in his place, since he could change the name between
//                                  our look and the kernel's, and may not write our notes.
//   chown, lchown, fchown, fchownat  to ids that this user namespace does not have (a plain user's has 65537, mostly):
//                                  the file goes to nobody, with a note of the true owner. Links and fifos carry no
//                                  notes; the worker gets a message about those.
//
// What is refused and would have worked for root of a machine is told in the step's output, with the path.
#pragma once

#include "builder/sandbox/init/state.hpp"

namespace imgbuild::sandbox::init {

/// Makes the pair of sockets; before StartCommand forks.
void make_listener_sockets(State& state);
/// In the command's process: installs the filter `program` (BPF instructions) and sends its listener. Where somebody
/// around the worker listens already, which the kernel allows only once, `unheard` is installed instead.
void install_filter(State& state, const char* name, wire::Text program, wire::Text unheard);

/// In PID 1, which polls descriptor().
class Notifications {
public:
    explicit Notifications(const State& state) : socket_(state.listener_sockets[0]) {}
    /// Where something may come from: the socket, then the listener; -1 if nothing will.
    int descriptor() const { return listener_ >= 0 ? listener_ : socket_; }
    /// To be called with what poll() says of descriptor(), if that is something. Does not wait.
    void handle(short events);

private:
    void answer();

    int socket_;
    int listener_ = -1;
};

}  // namespace imgbuild::sandbox::init
