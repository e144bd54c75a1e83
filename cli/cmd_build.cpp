#include "cli/annotations.hpp"
#include "cli/build_options.hpp"
#include "cli/calls.hpp"
#include "cli/commands.hpp"
#include "cli/foreign_options.hpp"
#include "cli/metadata.hpp"
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
    std::string metadata_file;
    std::vector<std::string> annotations;
    std::string squash;
    std::vector<std::string> uncached_stages;
    unsigned jobs = 16;
    bool check = false;
    bool list_targets = false;
    bool no_cache = false;
    bool push = false;
    bool load = false;
    bool quiet = false;
};

std::unique_ptr<ProgressSink> make_progress(const Options& options) {
    const std::string kind = options.quiet ? "quiet" : options.progress;
    if (kind == "json" || kind == "rawjson") return std::make_unique<JsonProgress>(STDERR_FILENO);
    if (kind == "quiet" || kind == "none") return std::make_unique<NoProgress>();
    return std::make_unique<PlainProgress>(STDERR_FILENO);
}

// As buildx has it: an image that is asked for anyway is the one that is pushed.
void add_push(builder::BuildRequest& request) {
    using Kind = builder::Output::Kind;
    bool done = false;
    for (builder::Output& output : request.outputs) {
        if (output.kind == Kind::image) output.kind = Kind::registry;
        done = done || output.kind == Kind::registry;
    }
    if (!done) request.outputs.push_back({.kind = Kind::registry, .destination = {}});
}

void add_outputs(const Options& options, builder::BuildRequest& request) {
    using Kind = builder::Output::Kind;
    for (const std::string& text : options.outputs) {
        request.outputs.push_back(parse_output(text, request.lower.target_platform));
    }
    if (options.push) add_push(request);
    // The store is what images are loaded to here.
    if (options.load) request.outputs.push_back({.kind = Kind::image, .destination = {}});
    check_outputs(request.outputs);
    for (const builder::Output& output : request.outputs) {
        if (output.kind != Kind::registry || !request.names.empty() || !output.names.empty()) continue;
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

builder::Squash parse_squash(const std::string& text) {
    if (text.empty()) return builder::Squash::no;
    if (text == "new") return builder::Squash::added;
    if (text == "all") return builder::Squash::all;
    throw UsageError({.code = "usage.bad-squash",
                      .message = fmt::format("--squash={} is neither new nor all", util::quote(text)),
                      .hint = "new joins the layers above the base image, all joins those of the base image too",
                      .where = {}});
}

void write_text_file(const std::string& path, const std::string& text) {
    if (path.empty()) return;
    util::AtomicFile file(path);
    file.write(text);
    file.commit();
}

bool wants_warnings() {
    const std::string value = AppContext::environment("BUILDX_METADATA_WARNINGS").value_or("");
    return value == "1" || util::equals_ignoring_case(value, "true");
}

void write_results(const Options& options, const builder::BuildResult& result) {
    write_text_file(options.iid_file, result.image_id.text());
    if (options.metadata_file.empty()) return;
    write_text_file(options.metadata_file,
                    metadata_json(result, wants_warnings() ? MetadataWarnings::yes : MetadataWarnings::no));
}

int run_build(const Options& options, AppContext& context) {
    const Call call = parse_call(options.check ? "check" : options.list_targets ? "targets" : options.call);
    builder::BuildRequest request = make_request(options.build, context);
    if (call.kind != Call::Kind::build) return run_call(call, request, AskFor::all_images, context);
    request.squash = parse_squash(options.squash);
    AnnotationSet annotations;
    for (const std::string& text : options.annotations) {
        add_annotation(text, request.lower.target_platform, annotations);
    }
    request.annotations = std::move(annotations.manifest);
    request.descriptor_annotations = std::move(annotations.descriptor);
    request.cache = options.no_cache ? builder::CacheUse::write : builder::CacheUse::read_and_write;
    request.jobs = options.jobs;
    for (const std::string& list : options.uncached_stages) {
        for (const std::string& stage : split_csv(list)) request.uncached_stages.insert(stage);
    }
    add_outputs(options, request);
    require_folder_of(options.iid_file, "--iidfile");
    require_folder_of(options.metadata_file, "--metadata-file");
    for (const builder::Output& output : request.outputs) require_folder_of(output.destination, "--output");

    const std::unique_ptr<ProgressSink> progress = make_progress(options);
    const builder::BuildResult result = builder::build(request, make_services(context, *progress), context.stop());

    write_results(options, result);
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
    add_foreign_options(*command);
    command->add_option("-t,--tag", options->build.names, "Name of the image; may be given several times")
        ->type_name("NAME[:TAG]")
        ->allow_extra_args(false);
    command->add_option("-o,--output", options->outputs, "Where the image goes besides the store")
        ->type_name("DIR|-|type=TYPE[,KEY=VALUE…]")
        ->allow_extra_args(false);
    command->add_flag("--push", options->push, "Push to the registries of the image's names");
    command->add_flag("--load", options->load, "Keep the image in the store, which is also the default");
    command->add_option("--annotation", options->annotations, "Annotation of the manifest")
        ->type_name("[LEVEL:]KEY=VALUE")
        ->allow_extra_args(false);
    command->add_flag("--squash{new}", options->squash,
                      "Join the layers above the base image; with =all those of the base image too");
    add_snapshotter_option(*command, context);
    command->add_flag("--no-cache", options->no_cache, "Run every step, whatever the cache has");
    command
        ->add_option("--no-cache-filter", options->uncached_stages,
                     "Run every step of these stages, whatever the cache has")
        ->type_name("STAGE[,STAGE…]")
        ->allow_extra_args(false);
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
    command->add_option("--metadata-file", options->metadata_file, "Write digests and names to this file, as JSON")
        ->type_name("FILE")
        ->take_last();
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_build(*options, context); }; });
}

}  // namespace imgbuild::cli
