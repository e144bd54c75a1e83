// Running git: the only program of the host that a build asks.
//
// A repository is foreign: git runs with no hooks, no prompts, no local protocols, and a small environment.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::builder {

struct GitCommand {
    /// Behind "git"; foreign text stands behind "--" or is known to be harmless.
    std::vector<std::string> arguments;
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

/// Seconds since 1970 of the committer in what `git cat-file commit` says. Nothing if it says none.
std::optional<std::int64_t> committer_time(std::string_view commit);

}  // namespace imgbuild::builder
