#include "cli/commands.hpp"
#include "cli/image_names.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
};

int run_inspect(const Options& options, AppContext& context) {
    const layers::ImageRecord image = require_image(context.store(), options.image);
    nlohmann::json out = {{"id", image.id.text()}, {"names", image.names}, {"size", image.size}};
    for (const DiffId& diff_id : image.diff_ids) out["layers"].push_back(diff_id.text());
    out["config"] = nlohmann::json::parse(image.config);
    print_result(out.dump(2) + "\n");
    return 0;
}

}  // namespace

void add_inspect(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("inspect", "Show an image's config, layers and names as JSON");
    command->footer("Example:\n  imgbuild inspect app:1");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_inspect(*options, context); }; });
}

}  // namespace imgbuild::cli
