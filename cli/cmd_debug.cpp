#include "builder/images.hpp"
#include "cli/build_options.hpp"
#include "cli/commands.hpp"
#include "cli/debug_batch.hpp"

#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>

namespace imgbuild::cli {
namespace {

struct GraphOptions {
    BuildOptions build;
    std::string format = "json";
};

int run_graph_command(const GraphOptions& options, AppContext& context) {
    const builder::BuildRequest request = make_request(options.build);
    builder::Images images(context.store(), context.registry(), {.pull = request.pull}, context.stop());
    const builder::Lowered lowered = builder::plan_build(request, images, 4, context.stop());
    print_result(options.format == "dot"
                     ? builder::to_dot(lowered.graph, lowered.result)
                     : builder::to_json(lowered.graph, lowered.result, request.lower.target_platform) + "\n");
    return 0;
}

void add_graph(CLI::App& debug, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<GraphOptions>();
    CLI::App* command = debug.add_subcommand("graph", "Print the graph of a build without carrying it out");
    command->footer("Example:\n  imgbuild debug graph --format dot . | dot -Tsvg > graph.svg");
    add_build_options(*command, options->build);
    command->add_option("--format", options->format, "json or dot")
        ->check(CLI::IsMember({"json", "dot"}))
        ->capture_default_str();
    command->callback([options, &context, &chosen] {
        chosen = [options, &context] { return run_graph_command(*options, context); };
    });
}

}  // namespace

void add_debug(CLI::App& app, AppContext& context, Chosen& chosen) {
    CLI::App* debug = app.add_subcommand("debug", "Look inside: graphs, and the parser's answers for test tables");
    debug->require_subcommand(1);
    debug->footer("Example:\n  imgbuild debug graph .");
    add_graph(*debug, context, chosen);
    CLI::App* batch = debug->add_subcommand("batch", "Answer one JSON object per line about the build file language");
    batch->footer("Example:\n  echo '{\"op\":\"word\",\"text\":\"$A\",\"envs\":{\"A\":\"b\"}}' | imgbuild debug batch");
    batch->callback([&context, &chosen] {
        context.uses_store = false;
        chosen = [] { return run_debug_batch(std::cin, std::cout); };
    });
}

}  // namespace imgbuild::cli
