// Running git: the only program of the host that a build asks.
//
// A repository is foreign: git runs with no hooks, no prompts, no local protocols, and a small environment. Secrets are
// in its environment and never in its arguments, which everybody on the machine can read.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::builder {

struct GitCommand {
    /// Behind "git"; foreign text stands behind "--" or is known to be harmless.
    std::vector<std::string> arguments;
    /// Settings for this run alone, name and value: they may be secret.
    std::vector<std::pair<std::string, std::string>> settings = {};
    /// Path of an ssh agent's socket.
    std::optional<std::string> agent = {};
};

struct GitOutcome {
    int exit_code = 0;
    /// At most 16 MiB; more is an Error ("source.git").
    std::string output;
    /// The end of what it complained about.
    std::string complaint;
};

/// Waits for it. Throws Error ("source.git") if it cannot be started, Cancelled (git and its children are gone then).
GitOutcome run_git(const GitCommand& command, std::stop_token stop);

}  // namespace imgbuild::builder
