// How a plain user becomes a worker that owns every id of its trees.
#pragma once

#include "builder/sandbox/user_facts.hpp"

namespace imgbuild::sandbox {

/// Moves this process, which must have one thread, into a user namespace of its own in which the user is root and has
/// the subordinate ids that /etc/subuid and /etc/subgid give him, by newuidmap(1) and newgidmap(1). What belonged to
/// the user belongs to root in there; what belonged to others belongs to nobody (65534), as it did for all he could do
/// to it. Throws Error ("machine.no-subordinate-ids", "machine.no-newuidmap", "machine.no-user-namespaces",
/// "machine.newuidmap-failed") with the command that would help; the process is as it was, except after the last of
/// these. `user` is ask_user().
void enter_user_namespace(const UserFacts& user);

}  // namespace imgbuild::sandbox
