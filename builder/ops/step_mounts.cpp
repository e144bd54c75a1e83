#include "builder/ops/step_mounts.hpp"

#include <imgbuild/error.hpp>

#include "builder/ops/keys.hpp"
#include "builder/ops/root.hpp"
#include "builder/ops/seed.hpp"
#include "builder/secrets.hpp"
#include "layers/copied_root.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <map>

namespace imgbuild::builder {
namespace {

std::string target_of(const sandbox::Mount& mount) {
    return std::visit([](const auto& one) { return one.target; }, mount);
}

layers::CacheSharing sharing_of(CacheMount::Sharing sharing) {
    switch (sharing) {
        case CacheMount::Sharing::shared:
            return layers::CacheSharing::shared;
        case CacheMount::Sharing::exclusive:
            return layers::CacheSharing::exclusive;
        case CacheMount::Sharing::locked:
            return layers::CacheSharing::locked;
    }
    std::unreachable();
}

// Of two wishes of one step for one cache the stricter one holds for both: it cannot wait for itself.
layers::CacheSharing stricter(layers::CacheSharing a, layers::CacheSharing b) {
    using Sharing = layers::CacheSharing;
    if (a == Sharing::shared) return b;
    if (b == Sharing::shared) return a;
    return a == Sharing::locked || b == Sharing::locked ? Sharing::locked : Sharing::exclusive;
}

}  // namespace

class StepMounts::Maker {
public:
    Maker(StepMounts& out, const Exec& exec, const MountSources& sources, sandbox::RootForm form,
          const OpContext& context, const Work& work, const std::function<void(const std::string&)>& say)
        : out_(out), exec_(exec), sources_(sources), form_(form), context_(context), work_(work), say_(say) {}

    void make() {
        hold_caches();
        for (std::size_t i = 0; i < exec_.mounts.size(); ++i) {
            std::visit([&](const auto& mount) { add(mount, i); }, exec_.mounts[i]);
        }
        std::stable_sort(out_.mounts_.begin(), out_.mounts_.end(),
                         [](const sandbox::Mount& a, const sandbox::Mount& b) {
                             return layers::compare_paths(target_of(a), target_of(b)) < 0;
                         });
    }

private:
    const FileSystem& source(std::size_t index) const {
        static const FileSystem nothing;
        const auto& from = sources_.at(index);
        return from ? *from : nothing;
    }

    // All of a step's caches in the order of their identities, whatever the order in the build file: so two steps that
    // want the same two never hold one each and wait for the other.
    void hold_caches() {
        std::map<Digest, layers::CacheRequest> wanted;
        for (std::size_t i = 0; i < exec_.mounts.size(); ++i) {
            const auto* cache = std::get_if<CacheMount>(&exec_.mounts[i]);
            if (cache == nullptr) continue;
            const Digest identity = cache_identity(*cache, source(i));
            const auto [at, is_new] = wanted.try_emplace(identity, request_for(*cache, i, identity));
            if (!is_new) at->second.sharing = stricter(at->second.sharing, sharing_of(cache->sharing));
            cache_of_[i] = identity;
        }
        for (const auto& [identity, request] : wanted) {
            out_.caches_.push_back(layers::CacheDirectory::acquire(context_.store.root(), request, work_.stop));
            cache_paths_[identity] = out_.caches_.back().path();
        }
    }

    layers::CacheRequest request_for(const CacheMount& cache, std::size_t index, const Digest& identity) const {
        return {.identity = identity,
                .name = cache.id,
                .sharing = sharing_of(cache.sharing),
                .fill =
                    [this, &cache, index](const std::string& path) {
                        if (cache.from) seed_directory(source(index), cache.source, path, context_.forms, work_);
                        util::check(::chown(path.c_str(), cache.uid, cache.gid), "set the owner of", path);
                        util::check(::chmod(path.c_str(), cache.mode), "set the mode of", path);
                    },
                .waiting =
                    [this, &cache] {
                        say_(fmt::format("waiting for the cache {}, which another step uses", util::quote(cache.id)));
                    }};
    }

    void add(const CacheMount& cache, std::size_t index) {
        out_.mounts_.push_back(
            sandbox::BindMount{.source = cache_paths_.at(cache_of_.at(index)),
                               .target = cache.target,
                               .access = cache.read_only ? sandbox::Access::read_only : sandbox::Access::read_write});
    }

    void add(const BindMount& bind, std::size_t index) {
        const FileSystem& fs = source(index);
        const layers::ChainView view = context_.forms.view(fs, work_);
        const auto resolved = view.resolve(bind.source, util::Follow::yes);
        if (!resolved.found && !resolved.path.empty()) {
            throw Error({.code = "source.not-found",
                         .message = fmt::format("{} not found: RUN --mount has nothing to show at {}",
                                                util::quote("/" + bind.source), util::quote(bind.target)),
                         .hint = "source= is a path in what from= names",
                         .where = {}});
        }
        const bool is_directory =
            !resolved.found || resolved.found->entry->type == layers::EntryType::directory || resolved.path.empty();
        const auto kind = is_directory ? sandbox::NodeKind::directory : sandbox::NodeKind::file;
        const sandbox::RootForm form = form_for(form_, view);
        if (form == sandbox::RootForm::copy) return add_copy(bind, fs, view, resolved.path, kind);
        layers::UnfinishedLayer scratch = context_.forms.lease().begin_layer();
        std::vector<std::string> lowers = lower_trees(fs, view, context_.forms, work_);
        if (lowers.empty()) {
            out_.scratch_.push_back(context_.forms.lease().begin_layer());
            lowers.push_back(out_.scratch_.back().tree());
        }
        UpperPlace place(scratch, form);
        place.dress(view);
        out_.mounts_.push_back(sandbox::TreeMount{.lowers = std::move(lowers),
                                                  .upper = place.upper(),
                                                  .work = place.work(),
                                                  .source = resolved.path,
                                                  .target = bind.target,
                                                  .access = access_of(bind),
                                                  .kind = kind});
        out_.scratch_.push_back(std::move(scratch));
        out_.places_.push_back(std::move(place));
    }

    static sandbox::Access access_of(const BindMount& bind) {
        return bind.writable ? sandbox::Access::read_write : sandbox::Access::read_only;
    }

    // Of all that from= shows, since what the mount shows may be a single file; thrown away with what the step writes.
    void add_copy(const BindMount& bind, const FileSystem& fs, const layers::ChainView& view, const std::string& source,
                  sandbox::NodeKind kind) {
        layers::UnfinishedLayer scratch = context_.forms.lease().begin_layer();
        layers::TreeWriter writer(util::RootedDir::open(scratch.tree()));
        layers::write_merged(view, context_.forms.trees(fs, work_), writer, work_.stop);
        static_cast<void>(writer.finish());
        out_.mounts_.push_back(sandbox::BindMount{.source = layers::join_path(scratch.tree(), source),
                                                  .target = bind.target,
                                                  .access = access_of(bind),
                                                  .kind = kind});
        out_.scratch_.push_back(std::move(scratch));
    }

    void add(const TmpfsMount& tmpfs, std::size_t) {
        out_.mounts_.push_back(sandbox::TmpfsMount{.target = tmpfs.target, .size = tmpfs.size});
    }

    void add(const SecretMount& secret, std::size_t) {
        std::optional<util::Fd> value;
        if (context_.confidants != nullptr && context_.confidants->secret) {
            value = context_.confidants->secret(secret.id);
        }
        if (!value && secret.required) {
            throw Error({.code = "source.no-secret",
                         .message = fmt::format("secret {}: not found", secret.id),
                         .hint = fmt::format("give it: --secret id={},src=FILE or --secret id={},env=NAME", secret.id,
                                             secret.id),
                         .where = {}});
        }
        if (!value) return;
        const auto number = static_cast<std::uint32_t>(out_.secrets_.size());
        out_.secrets_.push_back(std::move(*value));
        if (!secret.env.empty()) out_.secret_env_.push_back({.name = secret.env, .secret = number});
        if (secret.target.empty()) return;
        out_.mounts_.push_back(sandbox::SecretMount{
            .secret = number, .target = secret.target, .mode = secret.mode, .uid = secret.uid, .gid = secret.gid});
    }

    void add(const SshMount& ssh, std::size_t) {
        std::optional<std::string> agent;
        if (context_.confidants != nullptr && context_.confidants->agent) agent = context_.confidants->agent(ssh.id);
        if (!agent && ssh.required) {
            throw Error({.code = "source.no-agent",
                         .message = fmt::format("ssh agent {}: not found", ssh.id),
                         .hint = fmt::format("give it: --ssh {}", ssh.id == "default" ? "default" : ssh.id + "=SOCKET"),
                         .where = {}});
        }
        if (!agent) return;
        layers::UnfinishedLayer scratch = context_.forms.lease().begin_layer();
        out_.agents_.emplace_back(scratch.tree(), *agent, SocketLook{.mode = ssh.mode, .uid = ssh.uid, .gid = ssh.gid});
        out_.mounts_.push_back(sandbox::BindMount{.source = out_.agents_.back().path(),
                                                  .target = ssh.target,
                                                  .access = sandbox::Access::read_write,
                                                  .kind = sandbox::NodeKind::file});
        out_.scratch_.push_back(std::move(scratch));
        if (out_.auth_socket_.empty()) out_.auth_socket_ = ssh.target;
    }

    StepMounts& out_;
    const Exec& exec_;
    const MountSources& sources_;
    sandbox::RootForm form_;
    const OpContext& context_;
    const Work& work_;
    const std::function<void(const std::string&)>& say_;
    std::map<std::size_t, Digest> cache_of_;
    std::map<Digest, std::string> cache_paths_;
};

StepMounts::StepMounts(const Exec& exec, const MountSources& sources, sandbox::RootForm form, const OpContext& context,
                       const Work& work, const std::function<void(const std::string&)>& say) {
    Maker(*this, exec, sources, form, context, work, say).make();
}

void StepMounts::add_to(sandbox::StepSpec& spec) const {
    spec.mounts.insert(spec.mounts.end(), mounts_.begin(), mounts_.end());
    for (const util::Fd& secret : secrets_) spec.secrets.push_back(secret.get());
    spec.secret_env = secret_env_;
    const bool has_own = std::any_of(spec.env.begin(), spec.env.end(), [](const std::string& variable) {
        return variable.starts_with("SSH_AUTH_SOCK=");
    });
    if (!auth_socket_.empty() && !has_own) spec.env.push_back("SSH_AUTH_SOCK=" + auth_socket_);
}

}  // namespace imgbuild::builder
