// The commands: one add_… per file cmd_<name>.cpp. Each registers a subcommand whose callback stores what to run in
// `chosen`; main() runs it after parsing, so that errors of the work are not taken for errors of the command line.
#pragma once

#include "cli/app_context.hpp"

#include <exception>
#include <functional>

namespace CLI {
class App;
}

namespace imgbuild::cli {

/// Returns the exit code.
using Chosen = std::function<int()>;
/// Run in place of the chosen command if the process cannot become a worker; what it gets says why.
using Refused = std::function<int(std::exception_ptr)>;

void add_build(CLI::App& app, AppContext& context, Chosen& chosen);
void add_images(CLI::App& app, AppContext& context, Chosen& chosen);
void add_inspect(CLI::App& app, AppContext& context, Chosen& chosen);
void add_tag(CLI::App& app, AppContext& context, Chosen& chosen);
void add_du(CLI::App& app, AppContext& context, Chosen& chosen);
void add_fsck(CLI::App& app, AppContext& context, Chosen& chosen);
void add_prune(CLI::App& app, AppContext& context, Chosen& chosen);
void add_push(CLI::App& app, AppContext& context, Chosen& chosen);
void add_export(CLI::App& app, AppContext& context, Chosen& chosen);
void add_copy(CLI::App& app, AppContext& context, Chosen& chosen);
void add_run(CLI::App& app, AppContext& context, Chosen& chosen);
void add_doctor(CLI::App& app, AppContext& context, Chosen& chosen);
void add_lint(CLI::App& app, AppContext& context, Chosen& chosen);
void add_outline(CLI::App& app, AppContext& context, Chosen& chosen);
void add_targets(CLI::App& app, AppContext& context, Chosen& chosen);
void add_debug(CLI::App& app, AppContext& context, Chosen& chosen);
void add_login(CLI::App& app, AppContext& context, Chosen& chosen);
void add_logout(CLI::App& app, AppContext& context, Chosen& chosen);
/// Sets `refused` as well: its errors go to another place.
void add_worker(CLI::App& app, AppContext& context, Chosen& chosen, Refused& refused);
void add_version(CLI::App& app, AppContext& context, Chosen& chosen);

}  // namespace imgbuild::cli
