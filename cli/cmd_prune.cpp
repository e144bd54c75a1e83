#include "cli/commands.hpp"
#include "layers/prune.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    bool all = false;
    bool json = false;
};

std::string describe(const layers::PruneReport& report) {
    std::string out = fmt::format("removed: {} images, {} layers, {} blobs; {} freed\n", report.images, report.layers,
                                  report.blobs, util::human_size(report.bytes));
    if (report.held > 0) out += fmt::format("kept: {} objects that builds under way hold\n", report.held);
    return out;
}

int run_prune(const Options& options, AppContext& context) {
    const auto scope = options.all ? layers::PruneScope::all : layers::PruneScope::unused;
    const layers::PruneReport report = layers::prune(context.store().root(), scope);
    if (options.json) {
        const nlohmann::ordered_json json = {{"images", report.images},
                                             {"layers", report.layers},
                                             {"blobs", report.blobs},
                                             {"bytes", report.bytes},
                                             {"held", report.held}};
        print_result(json.dump(2) + "\n");
    } else {
        print_result(describe(report));
    }
    return 0;
}

}  // namespace

void add_prune(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("prune", "Remove what the cache keeps and no image needs");
    command->footer(
        "Builds may run meanwhile; what they hold stays.\n\n"
        "Examples:\n  imgbuild prune\n  imgbuild prune --all --json");
    command->add_flag("-a,--all", options->all, "Images too, cache mounts and logs: everything");
    command->add_flag("--json", options->json, "As JSON, for programs");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_prune(*options, context); }; });
}

}  // namespace imgbuild::cli
