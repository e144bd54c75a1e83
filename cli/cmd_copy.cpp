#include "builder/copy.hpp"
#include "cli/commands.hpp"
#include "cli/progress_json.hpp"
#include "cli/services.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string from;
    std::string to;
    std::string platform;
};

int run_copy(const Options& options, AppContext& context) {
    const builder::CopyRequest request{
        .from = builder::parse_image_place(options.from),
        .to = builder::parse_image_place(options.to),
        .platform = options.platform.empty() ? Platform::host() : Platform::parse(options.platform),
        .codec = {}};
    NoProgress progress;
    const Digest digest = builder::copy_image(request, make_services(context, progress), context.stop());
    if (request.to.path != "-") print_result(digest.text() + "\n");
    return 0;
}

}  // namespace

void add_copy(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("copy", "Copy an image between store, registries, layouts and archives");
    command->footer(
        "Places: store:NAME, docker://NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME];\n"
        "'-' as FILE is standard input or output.\n"
        "Prints the manifest's digest, or the image's id if it went to the store.\n\n"
        "Examples:\n"
        "  imgbuild copy docker://quay.io/team/app:1 docker://registry.example/app:1\n"
        "  imgbuild copy store:app:1 docker-archive:app.tar:app:1\n"
        "  docker save app:1 | imgbuild copy docker-archive:- store:app:1");
    command->add_option("from", options->from, "Where the image is")->required()->type_name("SRC");
    command->add_option("to", options->to, "Where it goes")->required()->type_name("DST");
    command->add_option("--platform", options->platform, "Which image of an index (default: this machine's)")
        ->type_name("OS/ARCH[/VARIANT]")
        ->take_last();
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_copy(*options, context); }; });
}

}  // namespace imgbuild::cli
