// What the builder works with, made of the command line's context.
#pragma once

#include "builder/build.hpp"
#include "cli/app_context.hpp"

namespace CLI {
class App;
}

namespace imgbuild::cli {

/// `progress` and `context` must outlive the result.
builder::Services make_services(AppContext& context, ProgressSink& progress);

/// For commands that run steps.
void add_snapshotter_option(CLI::App& command, AppContext& context);

}  // namespace imgbuild::cli
