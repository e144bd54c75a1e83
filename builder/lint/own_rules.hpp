// What our own checks look for in the text of commands. A shell's language is not parsed: only what is written plainly
// is seen, so that whatever is said is true.
#pragma once

#include "parser/instructions.hpp"

#include <string>
#include <vector>

namespace imgbuild::builder {

/// Is the RUN one heredoc of several commands, given to a shell that goes on when one of them fails? `shell` is that of
/// the stage, empty for the default.
bool script_ignores_errors(const parser::Run& run, const std::vector<std::string>& shell);

/// A "chown -R" or the like with one of the paths that it changes.
struct OwnerChange {
    /// "chown", "chgrp" or "chmod".
    std::string program;
    std::string path;
};
std::vector<OwnerChange> owner_changes(const parser::Run& run);

}  // namespace imgbuild::builder
