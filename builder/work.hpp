// What a piece of work needs besides its input: somebody to report to, and a way to be stopped.
#pragma once

#include <imgbuild/progress.hpp>

#include <cstddef>
#include <stop_token>
#include <utility>

namespace imgbuild::builder {

struct Work {
    std::stop_token stop;
    ProgressSink& progress;
    /// Of the step, for events; 0 for work that is no step.
    std::size_t step = 0;
    StepInfo info = {};

    /// The same in one of several threads, which can be stopped by itself.
    Work with(std::stop_token own_stop) const {
        return {.stop = std::move(own_stop), .progress = progress, .step = step, .info = info};
    }
};

}  // namespace imgbuild::builder
