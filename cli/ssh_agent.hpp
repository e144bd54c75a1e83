// An ssh agent of our own that holds keys of the user's for one build.
#pragma once

#include "util/fd.hpp"
#include "util/files.hpp"

#include <sys/types.h>
#include <string>
#include <vector>

namespace imgbuild::cli {

/// Runs `ssh-agent` and gives it keys with `ssh-add`. It ends when the object does, and soon after this process if that
/// is killed.
class SshAgent {
public:
    /// Throws Error ("source.ssh") if the programs are not installed or a key cannot be used (it needs a passphrase,
    /// say).
    explicit SshAgent(const std::vector<std::string>& keys);
    ~SshAgent();
    SshAgent(const SshAgent&) = delete;
    SshAgent& operator=(const SshAgent&) = delete;

    std::string socket() const { return directory_.path() + "/agent"; }

private:
    void start();
    void end() noexcept;
    void add(const std::vector<std::string>& keys) const;

    util::TempDir directory_;
    /// Its end is what the command beside the agent waits for.
    util::Fd lifeline_;
    /// That command, a child of ours; and the agent, which is none.
    pid_t pid_ = -1;
    util::Fd agent_;
};

}  // namespace imgbuild::cli
