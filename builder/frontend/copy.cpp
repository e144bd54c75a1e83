// COPY, ADD and WORKDIR: file operations as nodes of the graph.

#include "builder/context/url_tree.hpp"
#include "builder/frontend/instruction_parts.hpp"
#include "layers/entry.hpp"
#include "parser/glob.hpp"
#include "parser/values.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::builder {
namespace {

std::optional<OwnerText> owner_of(const std::optional<parser::Word>& chown, const Words& words) {
    if (!chown) return std::nullopt;
    const std::string text = words.text(*chown);
    // What variables left of "${USER}:${GROUP}" when both are unset: no owner was asked for.
    if (text.empty() || text == ":") return std::nullopt;
    const parser::Owner owner = parser::parse_owner(text);
    return OwnerText{.user = owner.user, .group = owner.group};
}

std::string mode_of(const std::optional<parser::Word>& chmod, const Words& words) {
    if (!chmod) return {};
    std::string text = words.text(*chmod);
    // A bad mode is the line's error, not the step's.
    if (!text.empty()) static_cast<void>(parser::FileMode::parse(text));
    return text;
}

std::string absolute(const std::string& path, const StageState& stage) {
    if (path.starts_with('/')) return path;
    const std::string workdir = stage.workdir();
    return workdir.ends_with('/') ? workdir + path : workdir + "/" + path;
}

bool is_remote(std::string_view source) {
    return source.starts_with("http://") || source.starts_with("https://");
}

bool is_git(std::string_view source) {
    return source.starts_with("git@") || source.starts_with("git://") || source.starts_with("ssh://") ||
           (is_remote(source) && source.substr(0, source.find('#')).ends_with(".git"));
}

// A file name as a pattern that matches it alone.
std::string literal_pattern(std::string_view name) {
    std::string out;
    for (const char c : name) {
        if (std::string_view("*?[\\").contains(c)) out += '\\';
        out += c;
    }
    return out;
}

struct Expanded {
    std::vector<std::string> sources;
    std::string destination;
    std::optional<OwnerText> owner;
    std::string mode;
    std::vector<std::string> excludes;
};

Expanded expand(const parser::FileSet& files, const Words& words, const StageState& stage) {
    Expanded out;
    for (const parser::Word& source : files.sources) out.sources.push_back(words.text(source));
    out.destination = absolute(words.text(files.destination), stage);
    out.owner = owner_of(files.chown, words);
    out.mode = mode_of(files.chmod, words);
    for (const parser::Word& pattern : files.excludes) out.excludes.push_back(words.text(pattern));
    return out;
}

std::string history_text(std::string_view keyword, const Expanded& set, const parser::FileSet& files) {
    std::string out(keyword);
    for (const std::string& source : set.sources) out += " " + source;
    for (const parser::HeredocFile& heredoc : files.heredocs) out += " " + heredoc.name;
    return out + " " + set.destination + " # buildkit";
}

void add_files(File& file, const parser::FileSet& files, const Expanded& set, const Words& words) {
    for (const parser::HeredocFile& heredoc : files.heredocs) {
        file.actions.push_back(MakeFile{.name = heredoc.name,
                                        .destination = set.destination,
                                        .content = words.body(heredoc),
                                        .owner = set.owner,
                                        .mode = set.mode});
    }
}

void finish(File file, std::string history, const parser::Instruction& instruction, StageState& stage,
            const InstructionContext& context) {
    stage.add_history(std::move(history), StageState::Layer::made);
    Node node{.op = std::move(file), .base = stage.fs, .origin = origin_of(instruction, stage, context)};
    stage.fs = context.graph.add(std::move(node));
}

bool is_number(const std::string& text) {
    return text.empty() || util::parse_number(text).has_value();
}

// --link: a layer that knows nothing of what lies below, and so is found again on any base. With a mode it is not one,
// as elsewhere.
void finish_linked(File file, const Expanded& set, std::string history, const parser::Instruction& instruction,
                   StageState& stage, const InstructionContext& context) {
    if (!stage.fs || !set.mode.empty()) {
        finish(std::move(file), std::move(history), instruction, stage, context);
        return;
    }
    stage.add_history(std::move(history), StageState::Layer::made);
    // Only names have to be looked up, and then only the numbers count.
    if (set.owner && !(is_number(set.owner->user) && is_number(set.owner->group))) file.users = stage.fs;
    const NodeId layer =
        context.graph.add({.op = std::move(file), .base = {}, .origin = origin_of(instruction, stage, context)});
    stage.fs = context.graph.add({.op = Merge{.top = layer}, .base = stage.fs, .origin = {}});
}

void finish_files(File file, const parser::FileSet& files, const Expanded& set, std::string history,
                  const parser::Instruction& instruction, StageState& stage, const InstructionContext& context) {
    if (files.link) {
        finish_linked(std::move(file), set, std::move(history), instruction, stage, context);
    } else {
        finish(std::move(file), std::move(history), instruction, stage, context);
    }
}

// A stage without files has a root directory all the same: its contents are nothing, and go somewhere.
void copy_from_nothing(File& file, const Expanded& set, const std::string& stage_name) {
    for (const std::string& source : set.sources) {
        if (parser::has_wildcard(source)) continue;
        if (!util::clean_path(source).empty()) {
            throw Error({.code = "source.not-found",
                         .message = fmt::format("{} not found: the stage {} is empty", util::quote(source),
                                                util::quote(stage_name)),
                         .hint = {},
                         .where = {}});
        }
        MakeDirectory make{.path = set.destination, .owner = set.owner, .mode = layers::kImplicitMode};
        if (!set.mode.empty()) make.mode = parser::FileMode::parse(set.mode).apply(make.mode, true) & 0777U;
        file.actions.push_back(std::move(make));
    }
}

Error bad_checksum(std::string message, std::string hint, const SourceSpan& where) {
    return Error(
        {.code = "parse.bad-checksum", .message = std::move(message), .hint = std::move(hint), .where = where});
}

// SPEC A5.12: of one URL, so that it is clear whose it is.
std::optional<Digest> checksum_of(const parser::Add& add, const Expanded& set, const Words& words) {
    if (!add.checksum) return std::nullopt;
    const std::string text = words.text(*add.checksum);
    const SourceSpan where = words.at(*add.checksum);
    if (set.sources.size() != 1 || !add.files.heredocs.empty()) {
        throw bad_checksum("--checksum goes with exactly one source", "write an ADD for each", where);
    }
    if (!is_remote(set.sources.front())) {
        throw bad_checksum(fmt::format("--checksum goes with a URL, and {} is none", util::quote(set.sources.front())),
                           "files of the context are part of the build already", where);
    }
    const auto digest = Digest::parse(text);
    if (digest) return digest;
    throw bad_checksum(fmt::format("the checksum {} is not sha256: and 64 hexadecimal digits", util::quote(text)),
                       "sha256sum prints the digits", where);
}

CopyFiles copy_from_url(const parser::Add& add, const Expanded& set, const std::string& url,
                        const std::optional<Digest>& checksum, const parser::Instruction& instruction,
                        const StageState& stage, const InstructionContext& context) {
    HttpSource source{.url = url, .name = name_of_url(url), .checksum = checksum};
    NodeOrigin origin = origin_of(instruction, stage, context);
    origin.instruction = parse_source_url(url).redacted();
    const std::string pattern = literal_pattern(source.name);
    return {.from = context.http(source, std::move(origin)),
            .sources = {pattern},
            .destination = set.destination,
            .owner = set.owner,
            .mode = set.mode,
            .excludes = set.excludes,
            .unpack_archives = add.unpack.value_or(false)};
}

}  // namespace

void apply_copy(const parser::Copy& copy, const parser::Instruction& instruction, StageState& stage,
                const InstructionContext& context) {
    const Words words(stage, context);
    const Expanded set = expand(copy.files, words, stage);

    File file;
    if (!set.sources.empty()) {
        const std::optional<NodeId> from = copy.from ? context.from(*copy.from) : context.build_context();
        if (from) {
            file.actions.push_back(CopyFiles{.from = *from,
                                             .sources = set.sources,
                                             .destination = set.destination,
                                             .owner = set.owner,
                                             .mode = set.mode,
                                             .excludes = set.excludes,
                                             .parents = copy.parents});
        } else {
            copy_from_nothing(file, set, copy.from->text);
        }
    }
    add_files(file, copy.files, set, words);
    finish_files(std::move(file), copy.files, set, history_text("COPY", set, copy.files), instruction, stage, context);
}

void apply_add(const parser::Add& add, const parser::Instruction& instruction, StageState& stage,
               const InstructionContext& context) {
    if (add.keep_git_dir) refuse("ADD --keep-git-dir", "clone in a RUN step");
    const Words words(stage, context);
    const Expanded set = expand(add.files, words, stage);
    const std::optional<Digest> checksum = checksum_of(add, set, words);

    File file;
    for (const std::string& source : set.sources) {
        if (is_git(source)) refuse("ADD of a git repository", "clone in a RUN step");
        if (is_remote(source)) {
            file.actions.push_back(copy_from_url(add, set, source, checksum, instruction, stage, context));
            continue;
        }
        auto* last = file.actions.empty() ? nullptr : std::get_if<CopyFiles>(&file.actions.back());
        if (last != nullptr && last->from == context.build_context()) {
            last->sources.push_back(source);
            continue;
        }
        file.actions.push_back(CopyFiles{.from = context.build_context(),
                                         .sources = {source},
                                         .destination = set.destination,
                                         .owner = set.owner,
                                         .mode = set.mode,
                                         .excludes = set.excludes,
                                         .unpack_archives = add.unpack.value_or(true)});
    }
    add_files(file, add.files, set, words);
    finish_files(std::move(file), add.files, set, history_text("ADD", set, add.files), instruction, stage, context);
}

void apply_workdir(const parser::Workdir& workdir, const parser::Instruction& instruction, StageState& stage,
                   const InstructionContext& context) {
    const Words words(stage, context);
    const std::string text = absolute(words.text(workdir.path), stage);
    std::string path = "/" + util::clean_path(text);
    // A "/" at the end is kept in the config, as docker keeps it.
    if (text.ends_with('/') && path != "/") path += '/';
    stage.config.config.working_dir = path;
    if (path == "/") {
        stage.add_history("WORKDIR " + path, StageState::Layer::none);
        return;
    }
    MakeDirectory make{.path = path, .owner = {}, .mode = 0755};
    if (!stage.config.config.user.empty()) {
        const parser::Owner owner = parser::parse_owner(stage.config.config.user);
        make.owner = OwnerText{.user = owner.user, .group = owner.group};
    }
    finish(File{.actions = {std::move(make)}}, "WORKDIR " + path, instruction, stage, context);
}

}  // namespace imgbuild::builder
