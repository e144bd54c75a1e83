#include "builder/told_step.hpp"

#include <imgbuild/error.hpp>

#include <chrono>
#include <exception>
#include <utility>

namespace imgbuild::builder {

void tell_step(const Work& work, const std::function<StepEnding()>& body) {
    work.progress.report(event::StepStarted{work.info});
    const auto begin = std::chrono::steady_clock::now();
    const auto finished = [&](StepEnding ending) {
        const auto took = std::chrono::steady_clock::now() - begin;
        work.progress.report(
            event::StepFinished{.step = work.info,
                                .outcome = ending.outcome,
                                .duration = std::chrono::duration_cast<std::chrono::milliseconds>(took),
                                .detail = std::move(ending.detail)});
    };
    try {
        finished(body());
    } catch (const Cancelled&) {
        finished({.outcome = StepOutcome::cancelled});
        throw;
    } catch (const std::exception& error) {
        finished({.outcome = StepOutcome::failed, .detail = error.what()});
        throw;
    }
}

}  // namespace imgbuild::builder
