#include "builder/send.hpp"
#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "cli/progress_json.hpp"
#include "cli/services.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
    std::string destination;
};

int run_push(const Options& options, AppContext& context) {
    const layers::ImageRecord image = require_image(context.store(), options.image);
    const Reference name = Reference::parse(options.destination.empty() ? options.image : options.destination);
    NoProgress progress;
    const Digest digest =
        builder::send_stored_image(image, {.kind = builder::Output::Kind::registry, .destination = {}}, {name}, {},
                                   make_services(context, progress), context.stop());
    print_result(name.repository() + "@" + digest.text() + "\n");
    return 0;
}

}  // namespace

void add_push(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("push", "Push an image of the store to a registry");
    command->footer(
        "Prints the pushed manifest's name and digest.\n\nExample:\n  imgbuild push app:1 127.0.0.1:5000/app:1");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    command->add_option("destination", options->destination, "Name in the registry (default: the image's name)")
        ->type_name("NAME[:TAG]");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_push(*options, context); }; });
}

}  // namespace imgbuild::cli
