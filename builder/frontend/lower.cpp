#include "builder/frontend/lower.hpp"

#include "builder/frontend/arguments.hpp"
#include "builder/frontend/instruction_parts.hpp"
#include "builder/frontend/instructions.hpp"
#include "builder/frontend/stage_names.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

using util::overloaded;

// Runs `body`; an error without a place gets `span`.
template <class Body>
auto located(const std::shared_ptr<const SourceFile>& file, const Span& span, Body&& body) {
    try {
        return body();
    } catch (Error& error) {
        error.locate({.file = file, .span = span});
        throw;
    }
}

void ensure_path(StageState& stage) {
    for (const NameValue& pair : stage.env_pairs()) {
        if (pair.first == "PATH") return;
    }
    stage.set_env("PATH", std::string(kDefaultPath));
}

// Stages are lowered when somebody needs them, each once. A stage under way that is asked for again is a circle.
class Lowering {
public:
    Lowering(const parser::BuildFile& file, const LowerOptions& options, const ResolveImage& resolve)
        : file_(file), options_(options), resolve_(resolve), globals_(file, options), names_(file, options, globals_) {
        stages_.resize(file.stages.size());
    }

    Lowered run() {
        const std::size_t target = names_.target();
        StageState& stage = lower_stage(target, file_.stages.at(target).span);
        Lowered out;
        out.result = stage.fs;
        out.config = stage.config;
        for (const auto& label : options_.labels) out.config.config.labels[label.first] = label.second;
        out.source_date_epoch = globals_.inherited("SOURCE_DATE_EPOCH").value_or("");
        for (const Diagnostic& diagnostic : file_.diagnostics) {
            if (diagnostic.severity == Severity::warning) out.warnings.push_back(diagnostic);
        }
        for (Diagnostic& unused : unused_arguments()) out.warnings.push_back(std::move(unused));
        out.graph = std::move(graph_);
        return out;
    }

private:
    struct Slot {
        enum class Progress { untouched, under_way, done };
        Progress progress = Progress::untouched;
        StageState state;
    };

    StageState& lower_stage(std::size_t index, const Span& asked_at) {
        Slot& slot = stages_.at(index);
        if (slot.progress == Slot::Progress::done) return slot.state;
        if (slot.progress == Slot::Progress::under_way) {
            throw ParseError(file_.source,
                             {{.severity = Severity::error,
                               .code = "parse.stage-circle",
                               .message = fmt::format("stage {} needs itself", util::quote(names_.label_of(index))),
                               .hint = "let one of the stages copy from an earlier one",
                               .span = asked_at}});
        }
        slot.progress = Slot::Progress::under_way;
        begin_stage(index, slot.state);
        apply_all(index, slot.state);
        slot.progress = Slot::Progress::done;
        return slot.state;
    }

    void begin_stage(std::size_t index, StageState& stage) {
        const parser::Stage& parsed = file_.stages.at(index);
        const Origin base = located(file_.source, parsed.span, [&] { return names_.base_of(index); });
        std::visit(
            overloaded{
                [&](const Scratch&) {
                    stage.config.platform = names_.platform_of(index);
                    stage.config.config.working_dir = "/";
                },
                [&](const StageIndex& other) {
                    stage = lower_stage(other.index, parsed.span);
                    stage.cmd_is_own = false;
                },
                [&](const OutsideImage& image) { begin_from_image(parsed, index, image.request, stage); },
                [&](const ContextDirectory& directory) { begin_from_directory(parsed, index, directory.name, stage); },
            },
            base);
        stage.label = names_.label_of(index);
        ensure_path(stage);
    }

    void begin_from_image(const parser::Stage& parsed, std::size_t index, const ImageRequest& request,
                          StageState& stage) {
        const BaseImage image =
            located(file_.source, parsed.from.image.span, [&] { return resolve_(request.name, request.platform); });
        stage.config = image.config;
        // Members that we do not know belong to the image they came with, not to what is built on it.
        stage.config.extra.clear();
        stage.config.created.reset();
        stage.config.diff_ids.clear();
        if (image.config.diff_ids.empty()) return;
        NodeOrigin origin{.stage = names_.label_of(index),
                          .instruction = one_line(parsed.original),
                          .where = {.file = file_.source, .span = parsed.span}};
        stage.fs = image_source(image.locator, std::move(origin));
    }

    // FROM a directory is an empty file system with the directory's files.
    void begin_from_directory(const parser::Stage& parsed, std::size_t index, const std::string& name,
                              StageState& stage) {
        stage.config.platform = names_.platform_of(index);
        stage.config.config.working_dir = "/";
        CopyFiles copy{.from = local_source(name), .sources = {"."}, .destination = "/"};
        NodeOrigin origin{.stage = names_.label_of(index),
                          .instruction = one_line(parsed.original),
                          .where = {.file = file_.source, .span = parsed.span}};
        stage.fs = graph_.add({.op = File{.actions = {std::move(copy)}}, .base = {}, .origin = std::move(origin)});
        stage.add_history("FROM " + name, StageState::Layer::made);
    }

    void apply_all(std::size_t index, StageState& stage) {
        if (names_.is_replaced(index)) return;
        const parser::Stage& parsed = file_.stages.at(index);
        InstructionContext context = context_for(index);
        const std::vector<std::string> triggers = std::exchange(stage.config.config.on_build, {});
        for (const std::string& text : triggers) {
            const auto trigger_file = std::make_shared<const SourceFile>(
                SourceFile{.name = "ONBUILD of the base image", .text = text + "\n"});
            InstructionContext trigger_context = context;
            trigger_context.file = trigger_file;
            located(file_.source, parsed.span,
                    [&] { apply_instruction(parser::parse_trigger(trigger_file), stage, trigger_context); });
        }
        for (const parser::Instruction& instruction : parsed.instructions) {
            apply_instruction(instruction, stage, context);
        }
    }

    InstructionContext context_for(std::size_t index) {
        return {.graph = graph_,
                .globals = globals_,
                .escape = file_.escape,
                .file = file_.source,
                .build_context = [this] { return local_source("context"); },
                .http = [this](const HttpSource& source,
                               NodeOrigin origin) { return http_source(source, std::move(origin)); },
                .from = [this, index](const parser::Word& word) { return source_of(word, index); },
                .run_options = options_.run,
                .context_files = context_files_};
    }

    std::optional<NodeId> source_of(const parser::Word& word, std::size_t index) {
        const Origin origin = names_.from(word, index);
        return std::visit(overloaded{
                              [](const Scratch&) -> std::optional<NodeId> { return std::nullopt; },
                              [&](const StageIndex& other) { return lower_stage(other.index, word.span).fs; },
                              [&](const OutsideImage& image) -> std::optional<NodeId> {
                                  const BaseImage resolved = resolve_(image.request.name, image.request.platform);
                                  return image_source(resolved.locator, {});
                              },
                              [&](const ContextDirectory& directory) -> std::optional<NodeId> {
                                  return local_source(directory.name);
                              },
                          },
                          origin);
    }

    NodeId image_source(const std::string& locator, NodeOrigin origin) {
        if (const auto at = images_.find(locator); at != images_.end()) return at->second;
        const NodeId id = graph_.add({.op = ImageSource{locator}, .base = {}, .origin = std::move(origin)});
        images_.emplace(locator, id);
        return id;
    }

    NodeId local_source(const std::string& name) {
        if (const auto at = locals_.find(name); at != locals_.end()) return at->second;
        const NodeId id = graph_.add({.op = LocalSource{name}, .base = {}, .origin = {}});
        locals_.emplace(name, id);
        return id;
    }

    NodeId http_source(const HttpSource& source, NodeOrigin origin) {
        const auto key = std::pair(source.url, source.checksum ? source.checksum->text() : "");
        if (const auto at = urls_.find(key); at != urls_.end()) return at->second;
        const NodeId id = graph_.add({.op = source, .base = {}, .origin = std::move(origin)});
        urls_.emplace(key, id);
        return id;
    }

    // SPEC A4.07: a --build-arg that no ARG of the file declares changes nothing, and is said.
    std::vector<Diagnostic> unused_arguments() const {
        std::vector<Diagnostic> out;
        for (const auto& given : options_.build_args) {
            const std::string& name = given.first;
            const bool known = is_proxy_argument(name) || name.starts_with("BUILDKIT_") ||
                               name == "SOURCE_DATE_EPOCH" || GlobalArguments(file_, {}).inherited(name).has_value() ||
                               declares(name);
            if (known) continue;
            out.push_back({.severity = Severity::warning,
                           .code = "build.unused-argument",
                           .message = fmt::format("--build-arg {} was not used: no ARG declares it", name),
                           .hint = {},
                           .span = {}});
        }
        return out;
    }

    bool declares(const std::string& name) const {
        const auto in = [&](const parser::Instruction& instruction) {
            const auto* arg = std::get_if<parser::Arg>(&instruction.body);
            return arg != nullptr && std::any_of(arg->items.begin(), arg->items.end(),
                                                 [&](const parser::Arg::Item& item) { return item.name.text == name; });
        };
        if (std::any_of(file_.global_args.begin(), file_.global_args.end(), in)) return true;
        return std::any_of(file_.stages.begin(), file_.stages.end(), [&](const parser::Stage& stage) {
            return std::any_of(stage.instructions.begin(), stage.instructions.end(), in);
        });
    }

    const parser::BuildFile& file_;
    const LowerOptions& options_;
    const ResolveImage& resolve_;
    GlobalArguments globals_;
    StageNames names_;
    Graph graph_;
    std::vector<Slot> stages_;
    std::map<std::string, NodeId> images_;
    std::map<std::string, NodeId> locals_;
    std::map<std::pair<NodeId, std::string>, NodeId> context_files_;
    /// By URL and checksum.
    std::map<std::pair<std::string, std::string>, NodeId> urls_;
};

// The words after --from of an instruction, without looking at triggers.
std::vector<parser::Word> froms_of(const parser::Instruction& instruction) {
    if (const auto* copy = std::get_if<parser::Copy>(&instruction.body); copy != nullptr && copy->from) {
        return {*copy->from};
    }
    std::vector<parser::Word> out;
    if (const auto* run = std::get_if<parser::Run>(&instruction.body)) {
        for (const parser::MountFlag& mount : run->mounts) {
            for (const parser::MountOption& option : mount.options) {
                if (option.key != "from" || option.value.value_or("").empty()) continue;
                out.push_back({.text = *option.value, .span = mount.span});
            }
        }
    }
    return out;
}

// Nothing for a word that means something else than it says, or that is no path in the context.
std::optional<std::vector<std::string>> plain_words(const std::vector<parser::Word>& words) {
    std::vector<std::string> out;
    for (const parser::Word& word : words) {
        if (word.text.find_first_of("$\\\"'`") != std::string::npos || word.text.contains("://")) return std::nullopt;
        out.push_back(word.text);
    }
    return out;
}

std::optional<CopyFiles> plain_read(const parser::FileSet& files) {
    auto sources = plain_words(files.sources);
    auto excludes = plain_words(files.excludes);
    if (!sources || !excludes || sources->empty()) return std::nullopt;
    CopyFiles out;
    out.sources = std::move(*sources);
    out.excludes = std::move(*excludes);
    return out;
}

// Calls `image` for every outside image and `visit` for every instruction that the target can need. Triggers of base
// images are not seen.
void walk_needed(const parser::BuildFile& file, const LowerOptions& options,
                 const std::function<void(const OutsideImage&)>& image,
                 const std::function<void(const parser::Instruction&)>& visit) {
    const GlobalArguments globals(file, options);
    const StageNames names(file, options, globals);
    std::vector<bool> seen(file.stages.size(), false);
    std::vector<std::size_t> pending = {names.target()};
    const auto need = [&](const Origin& origin) {
        if (const auto* outside = std::get_if<OutsideImage>(&origin)) image(*outside);
        if (const auto* stage = std::get_if<StageIndex>(&origin)) pending.push_back(stage->index);
    };
    while (!pending.empty()) {
        const std::size_t index = pending.back();
        pending.pop_back();
        if (seen.at(index)) continue;
        seen[index] = true;
        need(names.base_of(index));
        if (names.is_replaced(index)) continue;
        for (const parser::Instruction& instruction : file.stages[index].instructions) {
            for (const parser::Word& from : froms_of(instruction)) need(names.from(from, index));
            visit(instruction);
        }
    }
}

}  // namespace

Lowered lower(const parser::BuildFile& file, const LowerOptions& options, const ResolveImage& resolve) {
    return Lowering(file, options, resolve).run();
}

std::set<ImageRequest> images_needed(const parser::BuildFile& file, const LowerOptions& options) {
    std::set<ImageRequest> out;
    walk_needed(
        file, options, [&](const OutsideImage& image) { out.insert(image.request); },
        [](const parser::Instruction&) {});
    return out;
}

std::vector<CopyFiles> context_reads(const parser::BuildFile& file, const LowerOptions& options) {
    std::vector<CopyFiles> out;
    walk_needed(
        file, options, [](const OutsideImage&) {},
        [&](const parser::Instruction& instruction) {
            const auto* copy = std::get_if<parser::Copy>(&instruction.body);
            const auto* add = std::get_if<parser::Add>(&instruction.body);
            if ((copy == nullptr || copy->from) && add == nullptr) return;
            auto read = plain_read(copy != nullptr ? copy->files : add->files);
            if (!read) return;
            read->parents = copy != nullptr && copy->parents;
            out.push_back(std::move(*read));
        });
    return out;
}

}  // namespace imgbuild::builder
