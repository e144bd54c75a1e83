#include "builder/send.hpp"
#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "cli/progress_json.hpp"
#include "cli/services.hpp"
#include "util/text.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
    std::vector<std::string> destinations;
};

int run_push(const Options& options, AppContext& context) {
    const layers::ImageRecord image = require_image(context.store(), options.image);
    std::vector<Reference> names;
    for (const std::string& text : options.destinations) names.push_back(Reference::parse(text));
    if (names.empty()) names.push_back(Reference::parse(options.image));
    for (const Reference& name : names) {
        if (!name.digest()) continue;
        throw UsageError({.code = "usage.bad-reference",
                          .message = fmt::format("the destination {} has a digest, which only the content can give it",
                                                 util::quote(name.text())),
                          .hint = "give a tag only",
                          .where = {}});
    }
    NoProgress progress;
    const Digest digest =
        builder::send_stored_image(image, {.kind = builder::Output::Kind::registry, .destination = {}}, names, {},
                                   make_services(context, progress), context.stop());
    for (const Reference& name : names) print_result(name.repository() + "@" + digest.text() + "\n");
    return 0;
}

}  // namespace

void add_push(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("push", "Push an image of the store to a registry");
    command->footer(
        "Prints the pushed manifest's name and digest.\n\nExample:\n  imgbuild push app:1 127.0.0.1:5000/app:1");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    command->add_option("destination", options->destinations, "Names in registries (default: the image's name)")
        ->type_name("NAME[:TAG]");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_push(*options, context); }; });
}

}  // namespace imgbuild::cli
