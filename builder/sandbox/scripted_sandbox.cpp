#include <imgbuild/error.hpp>

#include <utility>

#include "builder/sandbox/sandbox.hpp"

namespace imgbuild::sandbox {

ScriptedSandbox::ScriptedSandbox(Script script) : script_(std::move(script)) {}

StepResult ScriptedSandbox::run(const StepSpec& step, OutputSink& output, std::stop_token stop) {
    if (stop.stop_requested()) throw Cancelled();
    // The same specs are refused as in the real sandbox.
    required_mount_points(step);
    StepResult result = script_({step, output, stop});
    if (stop.stop_requested()) throw Cancelled();
    return result;
}

}  // namespace imgbuild::sandbox
