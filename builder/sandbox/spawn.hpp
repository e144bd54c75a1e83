// Starting a program from a process that has threads and much memory: without copying either.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>

#include <span>

#include "util/fd.hpp"

namespace imgbuild::sandbox {

/// The child's descriptor `number` is our `fd`.
struct Inherited {
    int fd;
    int number;
};

/// How a child ended, and what it and all children that it waited for have used.
struct ChildEnd {
    siginfo_t info;
    rusage usage;
};

/// Executes the program in `program` (a descriptor) with an empty environment and `name` as its only argument. It has
/// the descriptors named in `inherited` and no others, and starts with all signals blocked. Returns when it has been
/// executed; the result is its pidfd. The cost does not depend on the size of this process. Throws IoError.
util::Fd spawn(int program, const char* name, std::span<const Inherited> inherited);

/// Waits for a child to end, and reaps it. Throws IoError.
ChildEnd reap(int pidfd);

}  // namespace imgbuild::sandbox
