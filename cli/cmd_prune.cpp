#include <imgbuild/error.hpp>

#include "cli/commands.hpp"
#include "cli/store_filters.hpp"
#include "cli/usage_report.hpp"
#include "layers/prune.hpp"
#include "util/clock.hpp"
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
    bool dry_run = false;
    bool force = false;
    std::string older_than;
    std::string keep;
    std::vector<std::string> filters;
};

layers::PruneRules rules_of(const Options& options) {
    const StoreFilters filters =
        parse_store_filters(options.filters, options.older_than, {"type", "until"}, util::now_ns());
    layers::PruneRules rules = options.all ? layers::PruneRules::everything() : layers::PruneRules::unused();
    if (!filters.kinds.empty()) rules.kinds = filters.kinds;
    rules.unused_since = filters.unused_since;
    if (!options.keep.empty()) rules.keep_bytes = parse_store_size("--keep-storage", options.keep);
    // What is remembered of the user's files has no size worth naming; it goes with everything else, or stays.
    rules.memories = rules.memories && filters.empty() && !rules.keep_bytes;
    return rules;
}

std::string describe(const layers::PruneReport& report, bool dry_run) {
    std::string out = dry_run && !report.objects.empty() ? render_objects(report.objects) + "\n" : "";
    out += fmt::format("{}: {} images, {} layers, {} blobs, {} cache mounts, {} logs; {} {}\n",
                       dry_run ? "would remove" : "removed", report.images, report.layers, report.blobs, report.mounts,
                       report.logs, util::human_size(report.bytes), dry_run ? "to free" : "freed");
    if (report.held > 0) out += fmt::format("kept: {} objects that builds under way hold\n", report.held);
    return out;
}

nlohmann::ordered_json to_json(const layers::PruneReport& report, bool dry_run) {
    nlohmann::ordered_json out = {{"images", report.images}, {"layers", report.layers}, {"blobs", report.blobs},
                                  {"mounts", report.mounts}, {"logs", report.logs},     {"bytes", report.bytes},
                                  {"held", report.held},     {"left", report.left},     {"dry_run", dry_run}};
    out["objects"] = objects_json(report.objects);
    return out;
}

int run_prune(const Options& options, AppContext& context) {
    const layers::PruneRules rules = rules_of(options);
    const auto mode = options.dry_run ? layers::PruneMode::only_tell : layers::PruneMode::remove;
    const layers::PruneReport report = layers::prune(context.store().root(), rules, mode);
    print_result(options.json ? to_json(report, options.dry_run).dump(2) + "\n" : describe(report, options.dry_run));
    return 0;
}

}  // namespace

void add_prune(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("prune", "Remove what the cache keeps and no image needs");
    command->footer(
        "Builds may run meanwhile; what they hold stays.\n\n"
        "Examples:\n  imgbuild prune\n  imgbuild prune --older-than 7d --dry-run\n  imgbuild prune --keep-storage "
        "20GB\n"
        "  imgbuild prune --filter type=mount\n  imgbuild prune --all --json");
    command->add_flag("-a,--all", options->all, "Images with a name too, cache mounts and logs: everything");
    command->add_flag("--json", options->json, "As JSON, for programs");
    // Scripts written for docker give it.
    command->add_flag("-f,--force", options->force, "Without asking, which is what imgbuild does anyway");
    command->add_flag("--dry-run", options->dry_run, "Only tell what would go");
    command
        ->add_option("--older-than", options->older_than,
                     "Only what was not used for so long (24h, 7d), or since a time; as --filter until=")
        ->type_name("AGE");
    command
        ->add_option("--keep-storage,--max-used-space,--reserved-space", options->keep,
                     "Only until the store takes no more than this, least recently used first")
        ->type_name("SIZE");
    command
        ->add_option("--filter", options->filters,
                     "Only these: type=image|layer|blob|mount|log (any of several), until=24h")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_prune(*options, context); }; });
}

}  // namespace imgbuild::cli
