// Carrying out Exec nodes: RUN.
#pragma once

#include "builder/ops/file_op.hpp"
#include "builder/ops/step_mounts.hpp"
#include "builder/sandbox/sandbox.hpp"

namespace imgbuild::builder {

/// What a command finds around it, but for its root (see root.hpp) and its mounts (see step_mounts.hpp). `time` is its
/// $SOURCE_DATE_EPOCH unless `exec` has one. Throws Error ("build.unknown-user").
sandbox::StepSpec step_spec(const Exec& exec, const layers::ChainView& view, std::int64_t time);

/// Throws StepFailed with the end of the output and the path of the whole log.
LayerResult carry_out(const Exec& exec, const FileSystem& base, const MountSources& sources, sandbox::Sandbox& sandbox,
                      const OpContext& context, const Work& work);

}  // namespace imgbuild::builder
