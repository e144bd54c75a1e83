// The step init's program, which is part of this library's own bytes.
#pragma once

#include "util/fd.hpp"

namespace imgbuild::sandbox {

/// A sealed memory file with the program, to be executed through its descriptor: nobody can change it, and it does not
/// depend on what is installed where. Throws IoError.
util::Fd open_init_program();

}  // namespace imgbuild::sandbox
