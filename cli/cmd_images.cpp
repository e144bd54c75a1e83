#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "oci/time.hpp"
#include "util/text.hpp"

#include <imgbuild/reference.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    bool json = false;
    bool quiet = false;
};

nlohmann::json row_json(const layers::ImageRecord& image) {
    return {{"id", image.id.text()},
            {"names", image.names},
            {"created", oci::format_time({.seconds = image.created, .nanoseconds = 0})},
            {"size", image.size},
            {"layers", image.diff_ids.size()}};
}

struct Row {
    std::string name;
    std::string id;
    std::string created;
    std::string size;
};

std::string table(const std::vector<layers::ImageRecord>& images) {
    std::vector<Row> rows = {{"NAME", "IMAGE ID", "CREATED", "SIZE"}};
    for (const layers::ImageRecord& image : images) {
        std::vector<std::string> names;
        for (const std::string& name : image.names) names.push_back(Reference::parse(name).familiar());
        if (names.empty()) names.emplace_back("<none>");
        for (const std::string& name : names) {
            rows.push_back({name, image.id.brief(), oci::format_time({.seconds = image.created, .nanoseconds = 0}),
                            util::human_size(image.size)});
        }
    }
    std::size_t width = 0;
    for (const Row& row : rows) width = std::max(width, row.name.size());
    std::string out;
    for (const Row& row : rows)
        out += fmt::format("{:<{}}  {:<12}  {:<20}  {}\n", row.name, width, row.id, row.created, row.size);
    return out;
}

int run_images(const Options& options, AppContext& context) {
    const std::vector<layers::ImageRecord> images = context.store().list_images();
    if (options.json) {
        nlohmann::json out = nlohmann::json::array();
        for (const layers::ImageRecord& image : images) out.push_back(row_json(image));
        print_result(out.dump(2) + "\n");
    } else if (options.quiet) {
        for (const layers::ImageRecord& image : images) print_result(image.id.text() + "\n");
    } else {
        print_result(table(images));
    }
    return 0;
}

}  // namespace

void add_images(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("images", "List the images of the store, newest first");
    command->footer("SIZE is that of the uncompressed layers.\n\nExample:\n  imgbuild images --json");
    command->add_flag("--json", options->json, "As JSON, for programs");
    command->add_flag("-q,--quiet", options->quiet, "Only ids");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_images(*options, context); }; });
}

}  // namespace imgbuild::cli
