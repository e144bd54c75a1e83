#include "builder/node_runner.hpp"

#include <imgbuild/error.hpp>

#include "builder/ops/exec_op.hpp"
#include "builder/told_step.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

using util::overloaded;

std::string instruction_of(const Node& node) {
    if (!node.origin.instruction.empty()) return node.origin.instruction;
    if (const auto* image = std::get_if<ImageSource>(&node.op)) return "image " + image->locator;
    if (const auto* http = std::get_if<HttpSource>(&node.op)) return registry::parse_url(http->url).redacted();
    return std::string(op_name(node.op));
}

// Directories are no steps, since nothing is done to them, and neither is putting layers on each other.
bool is_step(const Node& node) {
    return !std::holds_alternative<LocalSource>(node.op) && !std::holds_alternative<Merge>(node.op);
}

std::vector<StepInfo> number_steps(const Graph& graph, const std::vector<bool>& needed) {
    std::map<std::string, std::size_t> in_stage;
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (needed[id] && is_step(graph[id])) ++in_stage[graph[id].origin.stage];
    }
    std::map<std::string, std::size_t> position;
    std::vector<StepInfo> out(graph.size());
    std::size_t number = 0;
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (!needed[id] || !is_step(graph[id])) continue;
        const NodeOrigin& origin = graph[id].origin;
        StepInfo& info = out[id];
        info.number = ++number;
        info.stage = origin.stage;
        info.instruction = instruction_of(graph[id]);
        info.line = origin.where.span.line;
        if (!origin.stage.empty()) {
            info.position = fmt::format("{} {}/{}", origin.stage, ++position[origin.stage], in_stage[origin.stage]);
        }
    }
    return out;
}

}  // namespace

NodeRunner::NodeRunner(RunnerContext context, NodeId target)
    : context_(std::move(context)), scaffolds_(context_.forms.lease()) {
    infos_ = number_steps(context_.graph, needed_for(context_.graph, target));
    results_.resize(context_.graph.size());
    for (const StepInfo& info : infos_) steps_ = std::max(steps_, info.number);
}

void NodeRunner::run(NodeId id, std::stop_token stop) {
    const StepInfo& info = infos_.at(id);
    const Work work{.stop = std::move(stop), .progress = context_.progress, .step = info.number, .info = info};
    const auto body = [&]() -> StepEnding {
        try {
            Ending ending = carry_out_node(id, work);
            return {.outcome = ending.cached ? StepOutcome::cached : StepOutcome::done,
                    .detail = std::move(ending.reason)};
        } catch (const Cancelled&) {
            throw;  // no fault of the line's
        } catch (Error& error) {
            const SourceSpan& where = context_.graph[id].origin.where;
            if (where.file) error.locate(where);
            throw;
        }
    };
    if (info.number != 0) return tell_step(work, body);
    static_cast<void>(body());
}

void NodeRunner::tell_waiting(NodeId id, std::uint64_t memory) const {
    const std::string line = fmt::format(
        "imgbuild: waits for memory: it took {} the last time, more than what runs leaves\n", util::human_size(memory));
    context_.progress.report(event::StepOutput{.number = infos_.at(id).number, .is_stderr = true, .text = line});
}

NodeRunner::Ending NodeRunner::carry_out_node(NodeId id, const Work& work) {
    const Node& node = context_.graph[id];
    return std::visit(overloaded{
                          [&](const ImageSource& source) { return image(id, source, work); },
                          [&](const LocalSource& source) { return local(id, source); },
                          [&](const HttpSource& source) { return http(id, source, work); },
                          [&](const Exec& exec) {
                              const FileSystem base = base_of(node);
                              // The sandbox is only asked for when the command has to run.
                              struct Lazy final : sandbox::Sandbox {
                                  explicit Lazy(const std::function<sandbox::Sandbox&()>& make) : make_sandbox(make) {}
                                  sandbox::StepResult run(const sandbox::StepSpec& step, sandbox::OutputSink& output,
                                                          std::stop_token stop) override {
                                      return make_sandbox().run(step, output, std::move(stop));
                                  }
                                  sandbox::RootForm root_form() const override { return make_sandbox().root_form(); }
                                  const std::function<sandbox::Sandbox&()>& make_sandbox;
                              } sandbox(context_.sandbox);
                              return put_layer(id, base,
                                               carry_out(exec, base, sources_of(exec), sandbox, op_context(id), work));
                          },
                          [&](const File& file) {
                              FileInputs inputs{.base = base_of(node), .users = {}, .sources = sources_of(file)};
                              if (file.users) inputs.users = results_.at(*file.users).fs;
                              return put_layer(id, inputs.base, carry_out(file, inputs, op_context(id), work));
                          },
                          [&](const Merge& top) { return merge(id, top); },
                      },
                      node.op);
}

NodeRunner::Ending NodeRunner::image(NodeId id, const ImageSource& source, const Work& work) {
    FileSystem fs = context_.images.file_system(source.locator);
    if (const std::string origin = context_.images.origin(source.locator); !origin.empty()) {
        const std::string line = origin + "\n";
        work.progress.report(event::StepOutput{.number = work.step, .is_stderr = true, .text = line});
    }
    // What the store has is pinned now, and seen to be there.
    bool all_there = true;
    for (const LayerPtr& layer : fs.layers) {
        const std::lock_guard lock(layer->mutex);
        if (!layer->id) layer->id = context_.forms.lease().find_layer(*layer->diff_id);
        all_there = all_there && layer->id.has_value();
    }
    results_[id].fs = std::move(fs);
    return {.cached = all_there, .reason = all_there ? "its layers are in the store" : ""};
}

NodeRunner::Ending NodeRunner::local(NodeId id, const LocalSource& source) {
    results_[id].local = context_.contexts.at(source.name);
    return {};
}

NodeRunner::Ending NodeRunner::http(NodeId id, const HttpSource& source, const Work& work) {
    auto tree =
        std::make_shared<const UrlTree>(UrlFile{.url = source.url, .name = source.name, .checksum = source.checksum},
                                        context_.forms.lease(), context_.urls);
    // With a checksum whoever needs the file fetches it, and mostly nobody does.
    if (!source.checksum) tree->prepare(work);
    results_[id].local = std::move(tree);
    return {};
}

NodeRunner::Ending NodeRunner::merge(NodeId id, const Merge& merge) {
    FileSystem fs = base_of(context_.graph[id]);
    for (const LayerPtr& layer : results_.at(merge.top).fs.layers) fs = fs.with(layer);
    results_[id].fs = std::move(fs);
    return {};
}

NodeRunner::Ending NodeRunner::put_layer(NodeId id, const FileSystem& base, LayerResult made) {
    if (!made.cached && context_.on_new_layer) context_.on_new_layer(id, made.layer);
    results_[id].fs = base.with(std::move(made.layer));
    return {.cached = made.cached, .reason = std::move(made.reason)};
}

FileSystem NodeRunner::base_of(const Node& node) const {
    if (!node.base) return {};
    return results_.at(*node.base).fs;
}

std::vector<ActionSource> NodeRunner::sources_of(const File& file) const {
    std::vector<ActionSource> out;
    for (const FileAction& action : file.actions) {
        ActionSource source;
        if (const auto* copy = std::get_if<CopyFiles>(&action)) {
            const Result& from = results_.at(copy->from);
            source.local = from.local;
            if (!from.local) source.fs = from.fs;
        }
        out.push_back(std::move(source));
    }
    return out;
}

MountSources NodeRunner::sources_of(const Exec& exec) const {
    MountSources out;
    for (const ExecMount& mount : exec.mounts) {
        const auto from = source_of(mount);
        out.push_back(from ? std::optional(results_.at(*from).fs) : std::nullopt);
    }
    return out;
}

OpContext NodeRunner::op_context(NodeId id) const {
    const StepInfo& info = infos_.at(id);
    OpContext out{.forms = context_.forms,
                  .store = context_.store,
                  .scaffolds = scaffolds_,
                  .kept_room = kept_room_,
                  .keys = {.platform = context_.platform, .time_limit = context_.time_limit, .slot = info.position},
                  .cache = context_.uncached_stages.contains(info.stage) ? CacheUse::write : context_.cache,
                  .threads = context_.threads,
                  .confidants = context_.confidants};
    out.codec = context_.codec;
    if (id < context_.readings.size()) out.reading = context_.readings[id];
    if (!context_.step_names.empty()) out.step = context_.step_names.at(id);
    if (context_.await_turn)
        out.await_turn = [this, id](const std::stop_token& stop) { context_.await_turn(id, stop); };
    return out;
}

}  // namespace imgbuild::builder
