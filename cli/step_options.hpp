// The options that say what every RUN of a build finds: network, hosts, limits, secrets, ssh agents.
#pragma once

#include "builder/build.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace imgbuild::cli {

struct StepOptions {
    std::string network;
    std::string shm_size;
    std::vector<std::string> hosts;
    std::vector<std::string> ulimits;
    std::vector<std::string> allow;
    std::vector<std::string> secrets;
    std::vector<std::string> ssh;
};

void add_step_options(CLI::App& command, StepOptions& options);

/// Puts what the options say into `request`. Secrets are read now. Throws UsageError; Error ("source.…").
void apply_step_options(const StepOptions& options, builder::BuildRequest& request);

}  // namespace imgbuild::cli
