// What becomes of one system call of the step; see notify.hpp for the rules.
#pragma once

#include <linux/seccomp.h>

namespace imgbuild::sandbox::init {

struct Answer {
    /// Zero: done.
    int error = 0;
    /// The kernel carries the call out as if nobody had asked, with the caller's rights and memory as they are then.
    bool goes_on = false;
};

/// Carries the call out, or refuses it. `listener` tells whether the caller still waits.
Answer answer_call(int listener, const seccomp_notif& question);

}  // namespace imgbuild::sandbox::init
