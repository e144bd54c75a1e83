// What becomes of one system call of the step; see notify.hpp for the rules.
#pragma once

#include <linux/seccomp.h>

#include "builder/sandbox/init/desk.hpp"

namespace imgbuild::sandbox::init {

/// Carries the call out, or refuses it. `listener` tells whether the caller still waits.
Answer answer_call(int listener, const seccomp_notif& question);

}  // namespace imgbuild::sandbox::init
