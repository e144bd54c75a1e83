// What the mounts of a command need while it runs: caches that are held, secrets in memory files, sockets that forward,
// overlays' scratch directories.
#pragma once

#include "builder/exec.hpp"
#include "builder/ops/agent_forward.hpp"
#include "builder/ops/file_op.hpp"
#include "builder/ops/root.hpp"
#include "builder/sandbox/step_spec.hpp"
#include "layers/cache_directory.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// For each mount of an Exec the result of the node that it comes from; nothing for those without one.
using MountSources = std::vector<std::optional<FileSystem>>;

/// The constructor brings everything about and waits for caches that others hold; all of it goes with the object, which
/// must outlive the step.
class StepMounts {
public:
    /// `form`: bind mounts are made like the root. `say` tells people why the step does not begin yet. Throws Error
    /// "source.not-found", "source.no-secret", "source.no-agent"; Cancelled.
    StepMounts(const Exec& exec, const MountSources& sources, sandbox::RootForm form, const OpContext& context,
               const Work& work, const std::function<void(const std::string& line)>& say);

    void add_to(sandbox::StepSpec& spec) const;

private:
    class Maker;

    std::vector<layers::UnfinishedLayer> scratch_;
    /// In `scratch_`, so gone before it.
    std::vector<UpperPlace> places_;
    std::vector<layers::CacheDirectory> caches_;
    std::vector<util::Fd> secrets_;
    std::vector<AgentForward> agents_;
    /// Outer targets first.
    std::vector<sandbox::Mount> mounts_;
    std::vector<sandbox::SecretVariable> secret_env_;
    std::string auth_socket_;
};

}  // namespace imgbuild::builder
