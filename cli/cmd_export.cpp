#include "builder/send.hpp"
#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "cli/outputs.hpp"
#include "cli/progress_json.hpp"
#include "cli/services.hpp"

#include <imgbuild/error.hpp>

#include <CLI/CLI.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
    std::string output;
};

std::string normal_form(const std::string& text) {
    return text.starts_with("sha256:") ? text : Reference::parse(text).text();
}

int run_export(const Options& options, AppContext& context) {
    using Kind = builder::Output::Kind;
    const builder::Output output = parse_output(options.output);
    check_outputs({output});
    if (output.kind == Kind::registry || output.kind == Kind::image || output.kind == Kind::cacheonly) {
        throw UsageError({.code = "usage.bad-output",
                          .message = "export writes files",
                          .hint = "-o type=oci,dest=FILE, or -o DIRECTORY; for a registry use `imgbuild push`",
                          .where = {}});
    }
    const layers::ImageRecord image = require_image(context.store(), options.image);
    // Under the name that was asked for: readers of an archive with several names want to be told which.
    std::vector<Reference> names;
    for (const std::string& name : image.names) {
        if (name == normal_form(options.image)) names.push_back(Reference::parse(name));
    }
    NoProgress progress;
    const Digest digest =
        builder::send_stored_image(image, output, names, {}, make_services(context, progress), context.stop());
    if (output.destination != "-") print_result(digest.text() + "\n");
    return 0;
}

}  // namespace

void add_export(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("export", "Write an image of the store as an OCI archive or layout");
    command->footer(
        "Prints the manifest's digest; of the files alone, the image's id.\n\n"
        "Examples:\n"
        "  imgbuild export app:1 -o type=oci,dest=app.tar\n"
        "  imgbuild export app:1 -o type=oci,tar=false,dest=layout");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    command->add_option("-o,--output", options->output, "Where it goes")->required()->type_name("type=oci,dest=FILE");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_export(*options, context); }; });
}

}  // namespace imgbuild::cli
