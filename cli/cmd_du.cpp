#include "cli/commands.hpp"
#include "cli/store_filters.hpp"
#include "cli/usage_report.hpp"
#include "layers/inventory.hpp"
#include "util/clock.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <utility>

namespace imgbuild::cli {
namespace {

struct Options {
    bool json = false;
    bool verbose = false;
    std::vector<std::string> filters;
};

int run_du(const Options& options, AppContext& context) {
    const StoreFilters filters =
        parse_store_filters(options.filters, "", {"type", "until", "id", "inuse", "shared", "private"}, util::now_ns());
    layers::Inventory inventory = layers::take_inventory(context.store().root());
    std::erase_if(inventory.objects, [&](const layers::StoredObject& object) { return !filters.accept(object); });
    const std::uint64_t limit = context.store_limit();
    if (options.json) {
        nlohmann::ordered_json json = usage_json(inventory, filters.empty());
        if (limit > 0) json["limit"] = limit;
        print_result(json.dump(2) + "\n");
        return 0;
    }
    if (options.verbose) print_result(render_objects(inventory.objects) + "\n");
    print_result(render_usage(inventory, filters.empty()));
    if (limit > 0) print_result(fmt::format("limit: {}\n", util::human_size(limit)));
    return 0;
}

}  // namespace

void add_du(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("du", "Show what the store takes of the disk");
    command->footer(
        "RECLAIMABLE is what no image with a name needs and no running build holds.\n\n"
        "Examples:\n  imgbuild du\n  imgbuild du -v --filter type=mount\n  imgbuild du --json --filter until=24h");
    command->add_flag("--json", options->json, "As JSON, for programs; with all objects");
    command->add_flag("-v,--verbose", options->verbose, "Every object as well");
    command
        ->add_option("--filter", options->filters,
                     "Only these: type=image|layer|blob|mount|log, until=24h (last used before), id=, inuse, shared, "
                     "private")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_du(*options, context); }; });
}

}  // namespace imgbuild::cli
