// RUN --mount: what its options mean in a stage. Spec: SPEC A6.

#include "builder/frontend/instruction_parts.hpp"
#include "parser/mount.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace imgbuild::builder {
namespace {

// Where the files of a context lie in the file system that is made of them.
constexpr std::string_view kFilesOfContext = "/mount";

// A source is a name and no pattern.
std::string without_wildcards(std::string_view path) {
    std::string out;
    for (const char c : path) {
        if (std::string_view("*?[\\").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

class MountLowering {
public:
    MountLowering(const parser::Run& run, const StageState& stage, const InstructionContext& context)
        : run_(run), stage_(stage), context_(context) {}

    std::vector<ExecMount> lower() {
        const Words words(stage_, context_);
        std::vector<ExecMount> out;
        for (const parser::MountFlag& flag : run_.mounts) {
            out.push_back(lower_one(parser::resolve_mount(flag, words.expander(), context_.file)));
        }
        return out;
    }

private:
    ExecMount lower_one(const parser::Mount& mount) {
        switch (mount.type) {
            case parser::MountType::bind:
                return bind(mount);
            case parser::MountType::cache:
                return cache(mount);
            case parser::MountType::tmpfs:
                return TmpfsMount{.target = target_of(mount), .size = mount.size};
            case parser::MountType::secret:
                return secret(mount);
            case parser::MountType::ssh:
                return ssh(mount);
        }
        std::unreachable();
    }

    BindMount bind(const parser::Mount& mount) {
        BindMount out{.from = source_node(mount),
                      .source = util::clean_path(mount.source),
                      .target = target_of(mount),
                      .writable = !mount.read_only};
        const bool is_whole = out.source.empty();
        out.exact = take_from_context(out.from, out.source, mount) || is_whole;
        return out;
    }

    CacheMount cache(const parser::Mount& mount) {
        CacheMount out{.id = mount.id, .target = target_of(mount), .from = {}, .source = {}};
        if (!mount.from.empty()) {
            out.from = source_node(mount);
            out.source = util::clean_path(mount.source);
            take_from_context(out.from, out.source, mount);
        } else if (!util::clean_path(mount.source).empty()) {
            throw bad_mount("a cache without from= has no source",
                            "leave source= out, or name a stage with from=", mount);
        }
        const std::string space = context_.globals.given("BUILDKIT_CACHE_MOUNT_NS").value_or("");
        if (!space.empty()) out.id = space + "/" + out.id;
        using Sharing = CacheMount::Sharing;
        out.sharing = mount.sharing == parser::CacheSharing::locked      ? Sharing::locked
                      : mount.sharing == parser::CacheSharing::exclusive ? Sharing::exclusive
                                                                         : Sharing::shared;
        out.read_only = mount.read_only;
        out.mode = mount.mode.value_or(out.mode);
        out.uid = mount.uid.value_or(out.uid);
        out.gid = mount.gid.value_or(out.gid);
        return out;
    }

    SecretMount secret(const parser::Mount& mount) const {
        SecretMount out{.id = mount.id, .target = {}, .env = mount.env, .required = mount.required};
        if (!mount.target.empty()) out.target = target_of(mount);
        out.mode = mount.mode.value_or(out.mode);
        out.uid = mount.uid.value_or(out.uid);
        out.gid = mount.gid.value_or(out.gid);
        return out;
    }

    SshMount ssh(const parser::Mount& mount) {
        SshMount out{.id = mount.id, .target = {}, .required = mount.required};
        out.target = mount.target.empty() ? fmt::format("/run/buildkit/ssh_agent.{}", agents_) : target_of(mount);
        ++agents_;
        out.mode = mount.mode.value_or(out.mode);
        out.uid = mount.uid.value_or(out.uid);
        out.gid = mount.gid.value_or(out.gid);
        return out;
    }

    std::string target_of(const parser::Mount& mount) const {
        const std::string whole = mount.target.starts_with('/') ? mount.target : stage_.workdir() + "/" + mount.target;
        const std::string clean = util::clean_path(whole);
        if (clean.empty()) throw bad_mount("invalid mount target \"/\"", "mount on a directory below it", mount);
        return "/" + clean;
    }

    std::optional<NodeId> source_node(const parser::Mount& mount) const {
        if (mount.from.empty()) return context_.build_context();
        return context_.from(parser::Word{.text = mount.from, .span = mount.span});
    }

    // The user's files are brought into the store first, and only those that the mount names: a step sees what its key
    // speaks of, even if somebody edits them meanwhile. Says whether it was a context.
    bool take_from_context(std::optional<NodeId>& from, std::string& source, const parser::Mount& mount) {
        if (!from || !std::holds_alternative<LocalSource>(context_.graph[*from].op)) return false;
        const auto known = context_.context_files.find({*from, source});
        if (known != context_.context_files.end()) {
            from = known->second;
        } else {
            CopyFiles copy{.from = *from,
                           .sources = {source.empty() ? "." : without_wildcards(source)},
                           .destination = std::string(kFilesOfContext)};
            NodeOrigin origin{.stage = {},
                              .instruction = fmt::format("files of the context for RUN --mount: {}",
                                                         source.empty() ? "." : util::quote(source)),
                              .where = {.file = context_.file, .span = mount.span}};
            const NodeId files =
                context_.graph.add({.op = File{.actions = {std::move(copy)}}, .base = {}, .origin = std::move(origin)});
            context_.context_files.emplace(std::pair(*from, source), files);
            from = files;
        }
        source = kFilesOfContext.substr(1);
        return true;
    }

    Error bad_mount(std::string message, std::string hint, const parser::Mount& mount) const {
        return Error({.code = "parse.bad-mount",
                      .message = std::move(message),
                      .hint = std::move(hint),
                      .where = SourceSpan{.file = context_.file, .span = mount.span}});
    }

    const parser::Run& run_;
    const StageState& stage_;
    const InstructionContext& context_;
    unsigned agents_ = 0;
};

}  // namespace

std::vector<ExecMount> lower_mounts(const parser::Run& run, const StageState& stage,
                                    const InstructionContext& context) {
    return MountLowering(run, stage, context).lower();
}

}  // namespace imgbuild::builder
