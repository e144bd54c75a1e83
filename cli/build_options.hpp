// The options that say what to build, shared by the commands that read a build file.
#pragma once

#include "builder/build.hpp"
#include "cli/app_context.hpp"
#include "cli/step_options.hpp"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace imgbuild::cli {

struct BuildOptions {
    std::string file;
    std::string context = ".";
    std::string ignore_file;
    std::vector<std::string> names;
    std::string target;
    std::vector<std::string> build_args;
    std::vector<std::string> labels;
    std::vector<std::string> platforms;
    std::vector<std::string> contexts;
    std::string source_date_epoch;
    /// As given; empty: not at all.
    std::string pull;
    std::string tag_ttl;
    StepOptions steps;
};

/// The file, the context, and what decides which stages and names the file means.
void add_file_options(CLI::App& command, BuildOptions& options);
/// The same, and what else an image is made of.
void add_build_options(CLI::App& command, BuildOptions& options);

/// Whether a command that builds nothing may ask registries for base images: only if it is told to.
bool asks_registries(const BuildOptions& options);

/// Reads the build file, and what comes as a stream, and makes the request that the options stand for.
/// Throws UsageError, Error ("source.…").
builder::BuildRequest make_request(const BuildOptions& options, AppContext& context);

}  // namespace imgbuild::cli
