#include "builder/ops/exec_op.hpp"

#include <imgbuild/error.hpp>

#include "builder/ops/root.hpp"
#include "builder/ops/step_log.hpp"
#include "builder/ops/users.hpp"
#include "layers/diff.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

constexpr std::string_view kHosts =
    "127.0.0.1\tlocalhost buildkitsandbox\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n";

// With the host's network the host's resolver is the one that works.
std::string resolv_conf() {
    constexpr std::size_t kLimit = 64 * 1024;
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
    spec.resolv_conf = resolv_conf();
    spec.hosts = kHosts;
    return spec;
}

namespace {

std::string how_it_ended(const sandbox::StepResult& result) {
    if (result.signal != 0) return fmt::format("was ended by signal {}", result.signal);
    return fmt::format("exit code {}", result.exit_code);
}

std::string hint_for(const sandbox::StepResult& result) {
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

layers::LayerId run_step(const Exec& exec, const FileSystem& base, sandbox::Sandbox& sandbox, const OpContext& context,
                         const layers::KeyRecord& key, const Work& work) {
    const layers::ChainView view = context.forms.view(base, work);
    const std::int64_t time = layer_time(base.next_time(), key.key, context.keys.time_limit);
    sandbox::StepSpec spec = step_spec(exec, view, time);
    StepRoot root(base, view, spec, context.forms, work);
    StepLog log(context.forms.lease().log_path(log_name(work)), work);
    const sandbox::StepResult result = sandbox.run(spec, log, work.stop);
    if (!result.succeeded()) {
        throw StepFailed(
            {.code = "build.step-failed",
             .message = fmt::format("{}: {}", work.info.instruction.empty() ? "the command" : work.info.instruction,
                                    how_it_ended(result)),
             .hint = hint_for(result),
             .where = {}},
            result.exit_code, log.tail(), log.path());
    }
    layers::ScanOptions options{.layer_time = time, .below = &view, .given_away = {}, .stop = work.stop};
    for (const auto& [path, owner] : result.given_away) options.given_away[path] = {owner.uid, owner.gid};
    const layers::ScanResult changes = layers::scan_upper(util::RootedDir::open(root.upper()), options);
    for (const std::string& socket : changes.sockets) {
        work.progress.report(event::Warning{
            .diagnostic = {.severity = Severity::warning,
                           .code = "build.socket-left-out",
                           .message = fmt::format("{} is a socket and is not in the image", util::quote("/" + socket)),
                           .hint = {},
                           .span = {}},
            .file = nullptr});
    }
    return context.forms.lease().publish(root.take_changes(), changes.names.serialize(), {}, key,
                                         on_conflict(context.cache));
}

LayerResult result_of(const layers::LayerId& id, const Digest& key, bool cached, std::string reason) {
    LayerResult out{.layer = std::make_shared<Layer>(key), .cached = cached, .reason = std::move(reason)};
    out.layer->id = id;
    return out;
}

}  // namespace

LayerResult carry_out(const Exec& exec, const FileSystem& base, sandbox::Sandbox& sandbox, const OpContext& context,
                      const Work& work) {
    const layers::KeyRecord key = exec_key(exec, base, context.keys);
    layers::Lease& lease = context.forms.lease();
    const bool may_find = context.cache == CacheUse::read_and_write;
    if (may_find) {
        if (const auto id = lease.find_layer(key.key)) {
            return result_of(*id, key.key, true, "the command and what it runs on have not changed");
        }
    }
    const auto claim = lease.claim(key.key, work.stop);
    if (may_find) {
        if (const auto id = lease.find_layer(key.key)) {
            return result_of(*id, key.key, true, "another build has just made it");
        }
    }
    const layers::LayerId id = run_step(exec, base, sandbox, context, key, work);
    return result_of(id, key.key, false,
                     may_find ? "the command or what it runs on is new" : "the cache was not asked");
}

}  // namespace imgbuild::builder
