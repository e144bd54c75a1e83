#include "cli/commands.hpp"
#include "cli/image_names.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include <CLI/CLI.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
    std::string name;
};

int run_tag(const Options& options, AppContext& context) {
    const layers::ImageRecord image = require_image(context.store(), options.image);
    const Reference name = Reference::parse(options.name);
    if (name.digest()) {
        throw UsageError({.code = "usage.bad-reference",
                          .message = "a name with a digest cannot be given to an image",
                          .hint = "give a tag only",
                          .where = {}});
    }
    context.store().tag(image.id, name.text());
    return 0;
}

}  // namespace

void add_tag(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("tag", "Give an image of the store another name");
    command->footer("Example:\n  imgbuild tag app:1 127.0.0.1:5000/app:1");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    command->add_option("name", options->name, "The new name")->required()->type_name("NAME[:TAG]");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_tag(*options, context); }; });
}

}  // namespace imgbuild::cli
