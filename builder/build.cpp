#include "builder/build.hpp"

#include "builder/context/open_context.hpp"
#include "builder/context/read_ahead.hpp"
#include "builder/delivery.hpp"
#include "builder/forms_read.hpp"
#include "builder/frontend/stage_names.hpp"
#include "builder/frontend/syntax.hpp"
#include "builder/image.hpp"
#include "builder/lint/survey.hpp"
#include "builder/node_runner.hpp"
#include "builder/pack_ahead.hpp"
#include "builder/parallel.hpp"
#include "builder/sandbox/memory_facts.hpp"
#include "builder/scheduler.hpp"
#include "builder/step_costs.hpp"
#include "builder/told_step.hpp"
#include "builder/url_secrets.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

std::optional<std::int64_t> explicit_time(const BuildRequest& request, const Lowered& lowered) {
    if (request.source_date_epoch) return request.source_date_epoch;
    if (lowered.source_date_epoch.empty()) return std::nullopt;
    const auto number = util::parse_number(lowered.source_date_epoch);
    if (number && *number < (1ULL << 40)) return static_cast<std::int64_t>(*number);
    throw UsageError({.code = "usage.bad-epoch",
                      .message = fmt::format("SOURCE_DATE_EPOCH is {}, which is no number of seconds since 1970",
                                             util::quote(lowered.source_date_epoch)),
                      .hint = "give a whole number, for example $(git log -1 --format=%ct)",
                      .where = {}});
}

class Build {
public:
    Build(const BuildRequest& request, const Services& services, std::stop_token stop)
        : request_(request),
          services_(services),
          stop_(std::move(stop)),
          images_(services.store, services.registry, {.pull = request.pull, .tag_ttl = request.tag_ttl}, stop_),
          lease_(services.store.begin_lease()),
          forms_(lease_, services.threads) {}

    BuildResult run() {
        uncached_stages_ = find_uncached_stages();
        try {
            begin_reading_ahead();
        } catch (const Error&) {
            // What is wrong with the file or the context is met again below, with its place.
        }
        const Lowered lowered = plan_build(request_, images_, services_.threads, stop_);
        if (ahead_) ahead_->stop_reading();
        report(lowered.warnings);
        time_limit_ = explicit_time(request_, lowered);
        const FileSystem fs = carry_out(lowered);
        ImageDraft draft = in_context("finishing the image", [&] { return draft_image(lowered, fs); });
        BuildResult out = deliver(std::move(draft), {.request = request_,
                                                     .services = services_,
                                                     .images = images_,
                                                     .lease = lease_,
                                                     .forms = forms_,
                                                     .stop = stop_,
                                                     .first_step = next_step_});
        out.warnings = lowered.warnings;
        return out;
    }

private:
    // As they are called in the graph. One that is not in the file is a slip of the pen.
    std::set<std::string> find_uncached_stages() const {
        std::set<std::string> out;
        if (request_.uncached_stages.empty()) return out;
        const parser::BuildFile file = parser::parse_file(request_.file);
        for (const std::string& name : request_.uncached_stages) {
            const std::size_t index = file.find_stage(name);
            if (index == parser::BuildFile::npos) {
                throw UsageError(
                    {.code = "usage.unknown-target",
                     .message = fmt::format("there is no stage {} to leave out of the cache", util::quote(name)),
                     .hint = "name a stage of the build file, or its number",
                     .where = {}});
            }
            out.insert(stage_label(file, index));
        }
        return out;
    }

    // While names are resolved and the first steps are looked up, the context is looked at; and read, while a registry
    // is waited for.
    void begin_reading_ahead() {
        const parser::BuildFile file = parser::parse_file(request_.file);
        if (file.has_errors() || request_.context_archive) return;
        const std::set<ImageRequest> needed = images_needed(file, request_.lower);
        const bool waits = std::any_of(needed.begin(), needed.end(), [&](const ImageRequest& image) {
            return images_.asks_registry(image.name, image.platform);
        });
        std::vector<CopyFiles> reads = context_reads(file, request_.lower);
        if (reads.empty()) return;
        ahead_ =
            std::make_shared<ReadAhead>(open_source("context"), std::move(reads), services_.store, services_.threads,
                                        waits ? ReadAhead::Depth::contents : ReadAhead::Depth::names);
    }

    void report(const std::vector<Diagnostic>& warnings) {
        for (const Diagnostic& warning : warnings) {
            services_.progress.report(event::Warning{.diagnostic = warning, .file = request_.file});
        }
    }

    std::shared_ptr<const SourceTree> open_source(const std::string& name) {
        const auto directory = request_.context_directories.find(name);
        if (directory != request_.context_directories.end()) {
            return open_context(directory->second, {}, services_.store.root(), &services_.store);
        }
        const auto archive = request_.context_archives.find(name);
        if (archive != request_.context_archives.end()) return archive->second->unpack(lease_, stop_);
        if (request_.context_archive) return request_.context_archive->unpack(lease_, stop_);
        return open_context(request_.context, {.build_file = request_.file_path, .given = request_.ignore_file},
                            services_.store.root(), &services_.store);
    }

    std::map<std::string, std::shared_ptr<const SourceTree>> open_contexts(const Graph& graph, NodeId target) {
        std::map<std::string, std::shared_ptr<const SourceTree>> out;
        const std::vector<bool> needed = needed_for(graph, target);
        for (NodeId id = 0; id < graph.size(); ++id) {
            const auto* local = std::get_if<LocalSource>(&graph[id].op);
            if (local == nullptr || !needed[id]) continue;
            const bool is_read_ahead = ahead_ && local->name == "context";
            out[local->name] = is_read_ahead ? ahead_ : open_source(local->name);
        }
        return out;
    }

    FileSystem carry_out(const Lowered& lowered) {
        if (!lowered.result) return {};
        const NodeId target = *lowered.result;
        StepNames step_names = name_steps(lowered.graph, request_.lower.target_platform);
        const std::vector<NodeCost> costs = find_costs(lowered.graph, step_names, services_.store);
        // Told who waits while it runs, so the runner is there.
        std::optional<NodeRunner> runner;
        Scheduler scheduler(lowered.graph, target,
                            {.jobs = request_.jobs,
                             .costs = costs,
                             .free_memory = [] { return sandbox::free_memory(sandbox::find_memory()); },
                             .on_wait = [&](NodeId id) { runner->tell_waiting(id, costs[id].memory); }});
        const std::vector<bool> worth_packing = worth_packing_ahead(lowered.graph, target);
        PackAhead packing(forms_, packed_as(), {.stop = stop_, .progress = services_.progress});
        std::once_flag once;
        std::unique_ptr<sandbox::Sandbox> sandbox;
        runner.emplace(
            RunnerContext{
                .graph = lowered.graph,
                .images = images_,
                .forms = forms_,
                .store = services_.store,
                .contexts = open_contexts(lowered.graph, target),
                .urls = {.transport = services_.registry.transport(),
                         .retry = services_.registry.retry(),
                         .authorization =
                             [this](const registry::Url& url) { return url_authorization(request_.confidants, url); }},
                .sandbox = [&]() -> sandbox::Sandbox& {
                    std::call_once(once, [&] {
                        const layers::UnfinishedLayer scratch = lease_.begin_layer();
                        sandbox = services_.make_sandbox(scratch.tree());
                    });
                    return *sandbox;
                },
                .progress = services_.progress,
                .platform = request_.lower.target_platform,
                .time_limit = time_limit_,
                .cache = request_.cache,
                .uncached_stages = uncached_stages_,
                .threads = services_.threads,
                .codec = packed_as().value_or(layers::Codec{.kind = layers::Codec::Kind::none}),
                .readings = readings(lowered.graph, target, reading_of_result()),
                .confidants = &request_.confidants,
                .step_names = std::move(step_names),
                .await_turn = [&](NodeId id, const std::stop_token& stop) { scheduler.await_turn(id, stop); },
                .on_new_layer =
                    [&](NodeId id, const LayerPtr& layer) {
                        if (worth_packing[id] && request_.squash == Squash::no) packing.add(layer);
                    }},
            target);
        next_step_ = runner->steps() + 1;
        services_.progress.report(event::BuildPlanned{runner->steps()});
        scheduler.run(stop_, [&runner](NodeId id, std::stop_token stop) { runner->run(id, std::move(stop)); });
        finish(packing);
        return runner->result(target);
    }

    // What takes longer than the steps did is told like a step.
    void finish(PackAhead& packing) {
        if (!packing.is_busy()) return packing.finish();
        const StepInfo info{
            .number = next_step_++, .stage = {}, .position = {}, .instruction = "finish packing", .line = 0};
        tell_step({.stop = stop_, .progress = services_.progress, .step = info.number, .info = info},
                  [&]() -> StepEnding {
                      packing.finish();
                      return {.outcome = stop_.stop_requested() ? StepOutcome::cancelled : StepOutcome::done};
                  });
    }

    Reading reading_of_result() const {
        if (request_.squash != Squash::no) return Reading::as_tree;
        const bool gives_files = std::any_of(request_.outputs.begin(), request_.outputs.end(),
                                             [](const Output& output) { return is_files(output.kind); });
        return gives_files ? Reading::copied : Reading::packed;
    }

    // What the first output wants that has blobs. The store by itself wants none: a copy that nobody reads has to be
    // kept in some form, and the plain tar costs nothing but its bytes.
    std::optional<layers::Codec> packed_as() const {
        for (const Output& output : request_.outputs) {
            const bool has_blobs =
                !is_files(output.kind) && output.kind != Output::Kind::image && output.kind != Output::Kind::cacheonly;
            if (has_blobs) return output.codec.value_or(request_.codec);
        }
        return std::nullopt;
    }

    std::int64_t image_time(const FileSystem& fs) const {
        if (time_limit_) return *time_limit_;
        if (!request_.context_archive) {
            if (const auto commit = checkout_time(request_.context)) return *commit;
        }
        return newest_time(fs, time_limit_);
    }

    ImageDraft draft_image(const Lowered& lowered, const FileSystem& fs) {
        const Work work{.stop = stop_, .progress = services_.progress};
        ImageDraft out{
            .config = lowered.config, .fs = squash(fs, request_.squash, forms_, work), .time = image_time(fs)};
        if (out.fs.layers.size() != fs.layers.size()) squash_history(out.config, out.fs.base_layers);
        return out;
    }

    const BuildRequest& request_;
    const Services& services_;
    std::stop_token stop_;
    Images images_;
    layers::Lease lease_;
    LayerForms forms_;
    std::optional<std::int64_t> time_limit_;
    std::set<std::string> uncached_stages_;
    std::size_t next_step_ = 1;
    /// The context; null if nothing is read ahead. Last, so that it ends before what it uses.
    std::shared_ptr<ReadAhead> ahead_;
};

/// What checks find becomes warnings; "# check=error=true" makes it an error.
void add_findings(const BuildRequest& request, const parser::BuildFile& file, Images& images, Lowered& lowered) {
    const parser::IgnoreMatcher ignore =
        load_ignore_rules(request.context, {.build_file = request.file_path, .given = request.ignore_file});
    SurveyOptions options;
    options.build = request.lower;
    options.stages = SurveyOptions::Stages::needed;
    options.ignore = &ignore;
    options.image = [&images](const std::string& name, const Platform& platform) {
        return std::optional(images.resolve(name, platform).config);
    };
    const Survey found = survey(file, options);
    // The parser's own word on this is a finding by another name.
    std::erase_if(lowered.warnings, [](const Diagnostic& d) { return d.code == "parse.empty-continuation"; });
    for (const Finding& finding : found.findings) lowered.warnings.push_back(finding.diagnostic());
    found.require_clean(file);
}

}  // namespace

Lowered plan_build(const BuildRequest& request, Images& images, unsigned threads, std::stop_token stop) {
    const parser::BuildFile file = parser::parse_file(request.file);
    file.require_valid();
    if (auto foreign = find_foreign_frontend(file, request.lower))
        throw ParseError(request.file, {std::move(*foreign)});
    // All names at once (they only wait), before lowering asks for them one by one. A failure is remembered and told
    // there, with its place.
    constexpr unsigned kNamesAtOnce = 16;
    const std::set<ImageRequest> needed = images_needed(file, request.lower);
    const std::vector<ImageRequest> list(needed.begin(), needed.end());
    in_parallel(list.size(), std::max(threads, kNamesAtOnce), stop, [&](std::size_t i, const std::stop_token&) {
        try {
            static_cast<void>(images.resolve(list[i].name, list[i].platform));
        } catch (const Cancelled&) {
            throw;
        } catch (const Error&) {
            // Not swallowed: lower() asks for the name again and gets the same error, which then has the line.
        }
    });
    Lowered lowered = lower(file, request.lower, [&images](const std::string& name, const Platform& platform) {
        return images.resolve(name, platform);
    });
    add_findings(request, file, images, lowered);
    return lowered;
}

BuildResult build(const BuildRequest& request, const Services& services, std::stop_token stop) {
    if (request.jobs == 0) {
        throw UsageError({.code = "usage.bad-request",
                          .message = "a build with no step at once would never end",
                          .hint = "jobs is at least 1",
                          .where = {}});
    }
    return Build(request, services, std::move(stop)).run();
}

}  // namespace imgbuild::builder
