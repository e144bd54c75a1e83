#include "cli/build_options.hpp"
#include "cli/calls.hpp"
#include "cli/commands.hpp"
#include "cli/outputs.hpp"
#include "cli/progress_json.hpp"
#include "cli/progress_plain.hpp"
#include "cli/services.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    BuildOptions build;
    std::vector<std::string> outputs;
    std::string call;
    std::string progress = "auto";
    std::string iid_file;
    unsigned jobs = 16;
    bool check = false;
    bool list_targets = false;
    bool no_cache = false;
    bool push = false;
    bool quiet = false;
};

std::unique_ptr<ProgressSink> make_progress(const Options& options) {
    const std::string kind = options.quiet ? "quiet" : options.progress;
    if (kind == "json" || kind == "rawjson") return std::make_unique<JsonProgress>(STDERR_FILENO);
    if (kind == "quiet" || kind == "none") return std::make_unique<NoProgress>();
    return std::make_unique<PlainProgress>(STDERR_FILENO);
}

void add_outputs(const Options& options, builder::BuildRequest& request) {
    for (const std::string& text : options.outputs) {
        if (auto output = parse_output(text)) request.outputs.push_back(std::move(*output));
    }
    if (options.push) request.outputs.push_back({.kind = builder::Output::Kind::registry, .destination = {}});
    for (const builder::Output& output : request.outputs) {
        if (output.kind != builder::Output::Kind::registry || !request.names.empty()) continue;
        throw UsageError({.code = "usage.no-name",
                          .message = "an image without a name cannot be pushed",
                          .hint = "add -t REGISTRY/NAME:TAG",
                          .where = {}});
    }
    for (const Reference& name : request.names) {
        if (!name.digest()) continue;
        throw UsageError({.code = "usage.bad-reference",
                          .message = fmt::format("the name {} has a digest, which only the build can know",
                                                 util::quote(name.text())),
                          .hint = "give a tag only",
                          .where = {}});
    }
}

// An hour's work must not fail at its last line.
void require_folder_of(const std::string& path, std::string_view option) {
    if (path.empty() || path == "-") return;
    std::string folder = std::filesystem::path(path).parent_path().string();
    if (folder.empty()) folder = ".";
    if (std::filesystem::is_directory(folder)) return;
    throw UsageError(
        {.code = "usage.bad-output",
         .message = fmt::format("there is no directory {} for {} {}", util::quote(folder), option, util::quote(path)),
         .hint = "make it first",
         .where = {}});
}

int run_build(const Options& options, AppContext& context) {
    const Call call = parse_call(options.check ? "check" : options.list_targets ? "targets" : options.call);
    builder::BuildRequest request = make_request(options.build);
    if (call.kind != Call::Kind::build) return run_call(call, request, AskFor::all_images, context);
    request.cache = options.no_cache ? builder::CacheUse::write : builder::CacheUse::read_and_write;
    request.jobs = options.jobs;
    add_outputs(options, request);
    require_folder_of(options.iid_file, "--iidfile");
    for (const builder::Output& output : request.outputs) require_folder_of(output.destination, "--output");

    const std::unique_ptr<ProgressSink> progress = make_progress(options);
    const builder::BuildResult result = builder::build(request, make_services(context, *progress), context.stop());

    if (!options.iid_file.empty()) {
        util::AtomicFile file(options.iid_file);
        file.write(result.image_id.text());
        file.commit();
    }
    const bool archive_on_stdout = std::any_of(request.outputs.begin(), request.outputs.end(),
                                               [](const builder::Output& o) { return o.destination == "-"; });
    if (!archive_on_stdout) print_result(result.image_id.text() + "\n");
    return 0;
}

}  // namespace

void add_build(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("build", "Build an image from a build file and a directory (the default)");
    command->footer(
        "The image's id goes to standard output, progress to standard error.\n\n"
        "Examples:\n"
        "  imgbuild -t app:1 .\n"
        "  imgbuild build -f Dockerfile --target final --build-arg V=2 -o type=oci,dest=out.tar .\n"
        "  imgbuild build -t 127.0.0.1:5000/app:1 --push .");
    add_build_options(*command, options->build);
    command->add_option("-t,--tag", options->build.names, "Name of the image; may be given several times")
        ->type_name("NAME[:TAG]")
        ->allow_extra_args(false);
    command->add_option("-o,--output", options->outputs, "Where the image goes besides the store")
        ->type_name("type=TYPE[,KEY=VALUE…]")
        ->allow_extra_args(false);
    command->add_flag("--push", options->push, "Push to the registries of the image's names");
    command->add_flag("--no-cache", options->no_cache, "Run every step, whatever the cache has");
    command->add_option("--call", options->call, "Answer a question instead of building: check, outline or targets")
        ->type_name("WHAT[,format=json]")
        ->take_last();
    command->add_flag("--check", options->check, "Check the build file and build nothing, as --call=check");
    command->add_flag("--list-targets", options->list_targets, "List the stages and build nothing, as --call=targets");
    command->add_option("--jobs", options->jobs, "Most steps at once")
        ->take_last()
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    command->add_option("--progress", options->progress, "How progress is told")
        ->take_last()
        ->check(CLI::IsMember({"auto", "plain", "json", "rawjson", "quiet", "none"}))
        ->capture_default_str();
    command->add_flag("-q,--quiet", options->quiet, "No progress; only the image's id, and errors");
    command->add_option("--iidfile", options->iid_file, "Write the image's id to this file")
        ->type_name("FILE")
        ->take_last();
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_build(*options, context); }; });
}

}  // namespace imgbuild::cli
