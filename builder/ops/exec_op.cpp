#include "builder/ops/exec_op.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "builder/context/checksums.hpp"
#include "builder/ops/root.hpp"
#include "builder/ops/selection.hpp"
#include "builder/ops/step_log.hpp"
#include "builder/ops/users.hpp"
#include "layers/diff.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace imgbuild::builder {
namespace {

constexpr std::string_view kHosts =
    "127.0.0.1\tlocalhost buildkitsandbox\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n";

// With the host's network the host's resolver is the one that works.
std::string resolv_conf() {
    constexpr std::size_t kLimit = 64U << 10;
    try {
        return util::read_file("/etc/resolv.conf", kLimit);
    } catch (const IoError& error) {
        if (error.error_number() != ENOENT) throw;
        return "# this machine has no /etc/resolv.conf\n";
    }
}

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
    return std::any_of(env.begin(), env.end(), [&](const std::string& variable) {
        return variable.starts_with(name) && variable.size() > name.size() && variable[name.size()] == '=';
    });
}

}  // namespace

sandbox::StepSpec step_spec(const Exec& exec, const layers::ChainView& view, std::int64_t time) {
    const ResolvedUser user = resolve_user(exec.user, view.passwd(), view.group());
    sandbox::StepSpec spec;
    spec.args = exec.args;
    spec.env = exec.env;
    spec.env.insert(spec.env.end(), exec.unkeyed_env.begin(), exec.unkeyed_env.end());
    if (!has_variable(spec.env, "HOME")) spec.env.push_back("HOME=" + (user.home.empty() ? "/" : user.home));
    if (!has_variable(spec.env, "SOURCE_DATE_EPOCH")) spec.env.push_back(fmt::format("SOURCE_DATE_EPOCH={}", time));
    spec.workdir = exec.workdir;
    spec.uid = user.uid;
    spec.gid = user.gid;
    spec.groups = user.groups;
    spec.network = exec.network == Network::host ? sandbox::NetworkMode::host : sandbox::NetworkMode::none;
    if (exec.security == Security::insecure) spec.confinement = sandbox::Confinement::insecure;
    spec.resolv_conf = resolv_conf();
    spec.hosts = kHosts;
    for (const auto& host : exec.hosts) spec.hosts += host.second + "\t" + host.first + "\n";
    for (const Ulimit& limit : exec.ulimits) {
        spec.limits.more.push_back({.name = limit.name, .soft = limit.soft, .hard = limit.hard});
    }
    if (exec.shm_size != 0) spec.limits.shared_memory = exec.shm_size;
    for (const Script& script : exec.scripts) spec.scripts.push_back({.name = script.name, .text = script.text});
    return spec;
}

namespace {

std::string how_it_ended(const sandbox::StepResult& result) {
    if (result.signal != 0) return fmt::format("was ended by signal {}", result.signal);
    return fmt::format("exit code {}", result.exit_code);
}

std::string hint_for(const sandbox::StepResult& result, const StepRoot& root) {
    if (std::string reason = root.why_it_failed(); !reason.empty()) return reason;
    if (result.signal == 9) return "was the machine out of memory?";
    if (result.exit_code == 127) return "is the program installed in the image, and in its PATH?";
    return {};
}

std::string log_name(const Work& work) {
    std::string out = fmt::format("{:03}-", work.step);
    for (const char c : work.info.instruction.substr(0, 40)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
        out += plain ? c : '_';
    }
    return out + ".log";
}

layers::LayerId run_step(const Exec& exec, const FileSystem& base, const MountSources& sources,
                         sandbox::Sandbox& sandbox, const OpContext& context, const layers::KeyRecord& key,
                         const Work& work) {
    const layers::ChainView view = context.forms.view(base, work);
    const std::int64_t time = layer_time(base.next_time(), key.key, context.keys.time_limit);
    sandbox::StepSpec spec = step_spec(exec, view, time);
    StepLog log(context.forms.lease().log_path(log_name(work)), work);
    const StepMounts mounts(exec, sources, sandbox.root_form(), context, work, [&log](const std::string& line) {
        log.output(sandbox::Stream::err, "imgbuild: " + line + "\n");
    });
    mounts.add_to(spec);
    const auto root =
        make_snapshotter(sandbox.root_form())
            ->prepare({.fs = base, .view = view, .forms = context.forms, .scaffolds = context.scaffolds, .work = work},
                      spec);
    // Last of all that can be waited for: who may run holds up others (scheduler.hpp).
    if (context.await_turn) context.await_turn(work.stop);
    const auto begin = std::chrono::steady_clock::now();
    const sandbox::StepResult result = sandbox.run(spec, log, work.stop);
    const auto took = std::chrono::steady_clock::now() - begin;
    if (!result.succeeded()) {
        throw StepFailed(
            {.code = "build.step-failed",
             .message = fmt::format("{}: {}", work.info.instruction.empty() ? "the command" : work.info.instruction,
                                    how_it_ended(result)),
             .hint = hint_for(result, *root),
             .where = {}},
            result.exit_code, log.tail(), log.path());
    }
    layers::ScanOptions options{.layer_time = time, .below = &view, .given_away = {}, .stop = work.stop};
    for (const auto& [path, owner] : result.given_away) options.given_away[path] = {owner.uid, owner.gid};
    const layers::ScanResult changes = root->finish(options);
    for (const std::string& socket : changes.sockets) {
        work.progress.report(event::Warning{
            .diagnostic = {.severity = Severity::warning,
                           .code = "build.socket-left-out",
                           .message = fmt::format("{} is a socket and is not in the image", util::quote("/" + socket)),
                           .hint = {},
                           .span = {}},
            .file = nullptr});
    }
    layers::KeyRecord record = key;
    if (context.step) {
        record.cost = layers::StepCost{.step = *context.step,
                                       .time = std::chrono::duration_cast<std::chrono::milliseconds>(took),
                                       .memory = result.peak_rss};
    }
    return context.forms.lease().publish(root->take_changes(), changes.names.serialize(), {}, record,
                                         on_conflict(context.cache));
}

// Looking a command up, and running it if nobody has.
class ExecOp {
public:
    ExecOp(const Exec& exec, const FileSystem& base, const MountSources& sources, sandbox::Sandbox& sandbox,
           const OpContext& context, const Work& work)
        : exec_(exec), base_(base), sources_(sources), sandbox_(sandbox), context_(context), work_(work) {}

    LayerResult run() {
        const layers::KeyRecord definition = exec_key(exec_, base_, context_.keys, definitions());
        if (auto hit = find(definition, "the command and what it runs on have not changed")) return *hit;
        const layers::KeyRecord key = has_parts() ? exec_key(exec_, base_, context_.keys, contents()) : definition;
        if (key.key != definition.key) {
            if (auto hit = find(key, "the files that it mounts have not changed")) {
                lease().add_key(definition, *hit->layer->id);
                return *hit;
            }
        }
        const auto claim = lease().claim(key.key, work_.stop);
        if (auto hit = find(key, "another build has just made it")) return *hit;
        const layers::LayerId id = run_step(exec_, base_, sources_, sandbox_, context_, key, work_);
        if (key.key != definition.key) lease().add_key(definition, id, on_conflict(context_.cache));
        return result_of(id, key.key, false,
                         may_find() ? "the command or what it runs on is new" : "the cache was not asked");
    }

private:
    layers::Lease& lease() const { return context_.forms.lease(); }
    bool may_find() const { return context_.cache == CacheUse::read_and_write; }

    static LayerResult result_of(const layers::LayerId& id, const Digest& key, bool cached, std::string reason) {
        LayerResult out{.layer = std::make_shared<Layer>(key), .cached = cached, .reason = std::move(reason)};
        out.layer->id = id;
        return out;
    }

    std::optional<LayerResult> find(const layers::KeyRecord& record, std::string reason) const {
        if (!may_find()) return std::nullopt;
        const auto id = lease().find_layer(record.key);
        if (!id) return std::nullopt;
        // By whatever key it was found: its identity is the one that it was published under.
        return result_of(*id, lease().facts(*id).key.value_or(record.key), true, std::move(reason));
    }

    SourceIdentity layers_of(std::size_t mount) const {
        SourceIdentity out;
        if (!sources_.at(mount)) return out;
        for (const LayerPtr& layer : sources_[mount]->layers) out.layers.push_back(layer->identity);
        return out;
    }

    std::vector<SourceIdentity> definitions() const {
        std::vector<SourceIdentity> out;
        for (std::size_t i = 0; i < exec_.mounts.size(); ++i) out.push_back(layers_of(i));
        return out;
    }

    // Of another node's files a mount may show a part, and only that part can change the result.
    static bool is_part(const ExecMount& mount) {
        const auto* bind = std::get_if<BindMount>(&mount);
        return bind != nullptr && bind->from && !bind->exact;
    }
    bool has_parts() const { return std::any_of(exec_.mounts.begin(), exec_.mounts.end(), is_part); }

    std::vector<SourceIdentity> contents() const {
        std::vector<SourceIdentity> out;
        for (std::size_t i = 0; i < exec_.mounts.size(); ++i) {
            out.push_back(is_part(exec_.mounts[i]) ? checksum_of(i) : layers_of(i));
        }
        return out;
    }

    SourceIdentity checksum_of(std::size_t mount) const {
        const FileSystem& fs = *sources_[mount];
        const ChainTree tree(context_.forms.files_of_trees(fs, work_));
        const Selection selection = select_path(tree, std::get<BindMount>(exec_.mounts[mount]).source);
        const auto digests = content_checksums(tree, files_of(selection), context_.store, context_.threads, work_);
        return {.checksum = selection_checksum(selection, digests), .layers = {}};
    }

    const Exec& exec_;
    const FileSystem& base_;
    const MountSources& sources_;
    sandbox::Sandbox& sandbox_;
    const OpContext& context_;
    const Work& work_;
};

}  // namespace

LayerResult carry_out(const Exec& exec, const FileSystem& base, const MountSources& sources, sandbox::Sandbox& sandbox,
                      const OpContext& context, const Work& work) {
    return ExecOp(exec, base, sources, sandbox, context, work).run();
}

}  // namespace imgbuild::builder
