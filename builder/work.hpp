// What a piece of work needs besides its input: somebody to report to, and a way to be stopped.
#pragma once

#include <imgbuild/progress.hpp>

#include <cstddef>
#include <stop_token>
#include <string>

namespace imgbuild::builder {

struct Work {
    std::stop_token stop;
    ProgressSink& progress;
    /// Of the step, for events; 0 for work that is no step.
    std::size_t step = 0;
    StepInfo info = {};
};

}  // namespace imgbuild::builder
