// Running an image of the store as a step, for a quick look: `imgbuild run`. Not a container runtime: the same sandbox
// as RUN, standard input closed, changes thrown away.
#pragma once

#include "builder/build.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/work.hpp"
#include "layers/store.hpp"

#include <string>
#include <vector>

namespace imgbuild::builder {

/// `args` in place of the image's CMD; its ENTRYPOINT stays. Throws Error ("usage.no-command") if there is nothing to
/// run.
sandbox::StepResult run_image(const layers::ImageRecord& image, const std::vector<std::string>& args,
                              const Services& services, sandbox::OutputSink& output, const Work& work);

}  // namespace imgbuild::builder
