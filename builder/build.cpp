#include "builder/build.hpp"

#include "builder/context/open_context.hpp"
#include "builder/export.hpp"
#include "builder/frontend/syntax.hpp"
#include "builder/image.hpp"
#include "builder/lint/survey.hpp"
#include "builder/node_runner.hpp"
#include "builder/parallel.hpp"
#include "builder/scheduler.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <chrono>

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
          images_(services.store, services.registry, {.pull = request.pull}, stop_),
          lease_(services.store.begin_lease()),
          forms_(lease_, services.threads) {}

    BuildResult run() {
        const Lowered lowered = plan_build(request_, images_, services_.threads, stop_);
        report(lowered.warnings);
        time_limit_ = explicit_time(request_, lowered);
        const FileSystem fs = carry_out(lowered);
        const Image image = in_context("finishing the image", [&] { return finish(lowered, fs); });
        return deliver(image);
    }

private:
    void report(const std::vector<Diagnostic>& warnings) {
        for (const Diagnostic& warning : warnings) {
            services_.progress.report(event::Warning{.diagnostic = warning, .file = request_.file});
        }
    }

    std::map<std::string, std::shared_ptr<const SourceTree>> open_contexts(const Graph& graph, NodeId target) const {
        std::map<std::string, std::shared_ptr<const SourceTree>> out;
        const std::vector<bool> needed = needed_for(graph, target);
        for (NodeId id = 0; id < graph.size(); ++id) {
            const auto* local = std::get_if<LocalSource>(&graph[id].op);
            if (local == nullptr || !needed[id]) continue;
            const auto named = request_.context_directories.find(local->name);
            out[local->name] = named == request_.context_directories.end()
                                   ? open_context(request_.context, request_.file_path, services_.store.root())
                                   : open_context(named->second, "", services_.store.root());
        }
        return out;
    }

    FileSystem carry_out(const Lowered& lowered) {
        if (!lowered.result) return {};
        std::once_flag once;
        std::unique_ptr<sandbox::Sandbox> sandbox;
        NodeRunner runner({.graph = lowered.graph,
                           .images = images_,
                           .forms = forms_,
                           .store = services_.store,
                           .contexts = open_contexts(lowered.graph, *lowered.result),
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
                           .threads = services_.threads},
                          *lowered.result);
        next_step_ = runner.steps() + 1;
        services_.progress.report(event::BuildPlanned{runner.steps()});
        run_graph(lowered.graph, *lowered.result, request_.jobs, stop_,
                  [&runner](NodeId id, std::stop_token stop) { runner.run(id, std::move(stop)); });
        return runner.result(*lowered.result);
    }

    std::int64_t image_time(const FileSystem& fs) const {
        if (time_limit_) return *time_limit_;
        if (const auto commit = checkout_time(request_.context)) return *commit;
        return newest_time(fs, time_limit_);
    }

    Image finish(const Lowered& lowered, const FileSystem& fs) {
        const Work work{.stop = stop_, .progress = services_.progress};
        return finish_image(lowered.config, fs, image_time(fs), forms_, services_.threads, work);
    }

    BuildResult deliver(const Image& image) {
        BuildResult out{.image_id = image.id, .manifest = {}};
        if (request_.outputs.empty()) {
            // An image of the store is whole: it can be run and pushed when its base's registry is gone.
            forms_.ensure_trees(image.fs, {.stop = stop_, .progress = services_.progress});
        } else {
            std::optional<PackedImage> packed;
            as_step("pack the layers", [&](const Work& work) {
                packed = pack_image(image, forms_, request_.codec, services_.threads, work);
            });
            out.manifest = packed->descriptor.digest;
            for (const Output& output : request_.outputs) {
                as_step(step_name(output), [&](const Work& work) {
                    write_output(
                        output, *packed, request_.names, lease_, services_.registry,
                        [this](const std::string& domain) { return images_.repositories(domain); }, work);
                });
            }
        }
        keep_image(image, request_.names, lease_);
        services_.store.sync();
        return out;
    }

    std::string step_name(const Output& output) const {
        switch (output.kind) {
            case Output::Kind::oci_archive:
                return fmt::format("write {}", util::quote(output.destination));
            case Output::Kind::oci_layout:
                return fmt::format("write the layout {}", util::quote(output.destination));
            case Output::Kind::registry:
                break;
        }
        std::string out = "push";
        for (const Reference& name : request_.names) out += " " + name.familiar();
        return out;
    }

    // Work after the graph, told like a step.
    void as_step(std::string what, const std::function<void(const Work&)>& body) {
        StepInfo info{.number = next_step_++, .stage = {}, .position = {}, .instruction = std::move(what), .line = 0};
        services_.progress.report(event::StepStarted{info});
        const auto begin = std::chrono::steady_clock::now();
        const auto finished = [&](StepOutcome outcome, std::string detail) {
            const auto duration = std::chrono::steady_clock::now() - begin;
            services_.progress.report(
                event::StepFinished{.step = info,
                                    .outcome = outcome,
                                    .duration = std::chrono::duration_cast<std::chrono::milliseconds>(duration),
                                    .detail = std::move(detail)});
        };
        try {
            body({.stop = stop_, .progress = services_.progress, .step = info.number, .info = info});
        } catch (const Cancelled&) {
            finished(StepOutcome::cancelled, "");
            throw;
        } catch (const std::exception& error) {
            finished(StepOutcome::failed, error.what());
            throw;
        }
        finished(StepOutcome::done, "");
    }

    const BuildRequest& request_;
    const Services& services_;
    std::stop_token stop_;
    Images images_;
    layers::Lease lease_;
    LayerForms forms_;
    std::optional<std::int64_t> time_limit_;
    std::size_t next_step_ = 1;
};

}  // namespace

namespace {

/// What checks find becomes warnings; "# check=error=true" makes it an error.
void add_findings(const BuildRequest& request, const parser::BuildFile& file, Images& images, Lowered& lowered) {
    const parser::IgnoreMatcher ignore = load_ignore_rules(request.context, request.file_path);
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
    // All names at once, before lowering asks for them one by one. A failure is remembered and told there, with its
    // place.
    const std::set<ImageRequest> needed = images_needed(file, request.lower);
    const std::vector<ImageRequest> list(needed.begin(), needed.end());
    in_parallel(list.size(), std::max(threads, 4U), stop, [&](std::size_t i, const std::stop_token&) {
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
    return Build(request, services, std::move(stop)).run();
}

}  // namespace imgbuild::builder
