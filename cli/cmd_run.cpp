#include "builder/run_image.hpp"
#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "cli/progress_json.hpp"
#include "cli/services.hpp"
#include "util/fd.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    std::string image;
    std::vector<std::string> args;
};

class Terminal final : public sandbox::OutputSink {
public:
    void output(sandbox::Stream stream, std::string_view bytes) override {
        const bool is_out = stream == sandbox::Stream::out;
        util::write_all(is_out ? STDOUT_FILENO : STDERR_FILENO, bytes, is_out ? "standard output" : "standard error");
    }
};

int run_run(const Options& options, AppContext& context) {
    const layers::ImageRecord image = require_image(context.store(), options.image);
    NoProgress progress;
    Terminal output;
    const sandbox::StepResult result = builder::run_image(image, options.args, make_services(context, progress), output,
                                                          {.stop = context.stop(), .progress = progress});
    return result.exit_code;
}

}  // namespace

void add_run(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("run", "Run an image once in the sandbox of RUN; changes are thrown away");
    command->footer(
        "What follows IMAGE is run in place of its CMD. Standard input is closed, the network is the host's. The exit "
        "code is the command's.\n\n"
        "Example:\n  imgbuild run app:1 ls /app");
    command->add_option("image", options->image, "Name, or the beginning of an id")->required()->type_name("IMAGE");
    // Words after the image are the command's, options among them.
    command->prefix_command();
    command->fallthrough(false);
    add_snapshotter_option(*command, context);
    command->callback([options, command, &context, &chosen] {
        for (const std::string& word : command->remaining()) options->args.push_back(word);
        chosen = [options, &context] { return run_run(*options, context); };
    });
}

}  // namespace imgbuild::cli
