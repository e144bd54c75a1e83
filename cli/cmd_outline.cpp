#include "cli/build_options.hpp"
#include "cli/calls.hpp"
#include "cli/commands.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    BuildOptions build;
    std::string format = "text";
};

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help, Options& options) {
    CLI::App* command = app.add_subcommand(name, help);
    command->footer("Examples:\n  imgbuild " + name + " .\n  imgbuild " + name + " --format json -f Dockerfile .");
    add_file_options(*command, options.build);
    command->add_option("--format", options.format, "text or json")
        ->take_last()
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    return command;
}

}  // namespace

void add_outline(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = add_command(app, "outline", "Show the arguments and secrets that a build takes", *options);
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        chosen = [options, &context] {
            const AskFor ask = asks_registries(options->build) ? AskFor::all_images : AskFor::local_images;
            return run_call({Call::Kind::outline, options->format}, make_request(options->build, context), ask,
                            context);
        };
    });
}

void add_targets(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = add_command(app, "targets", "List the stages of a build file", *options);
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        chosen = [options, &context] {
            return run_call({Call::Kind::targets, options->format}, make_request(options->build, context),
                            AskFor::local_images, context);
        };
    });
}

}  // namespace imgbuild::cli
