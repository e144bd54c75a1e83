// Work that is told as a step: when it begins, how long it took, and how it ended.
#pragma once

#include "builder/work.hpp"

#include <functional>
#include <string>

namespace imgbuild::builder {

struct StepEnding {
    StepOutcome outcome = StepOutcome::done;
    /// Why it was cached, or why not.
    std::string detail = {};
};

/// Tells of `work.info` around `body`. What that throws is told as cancelled or failed, and thrown on.
void tell_step(const Work& work, const std::function<StepEnding()>& body);

}  // namespace imgbuild::builder
