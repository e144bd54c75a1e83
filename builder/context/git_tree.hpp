// A commit of a git repository as a source of files (ADD, contexts). What the repository has beside the commit (its
// history, branches, configuration) is not there: files have the modes 644 and 755, directories 755, all belong to
// root.
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/context/local_tree.hpp"
#include "builder/context/source_tree.hpp"
#include "layers/store.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// What of which repository. All of it is foreign text.
struct GitFiles {
    /// http(s), ssh, git, or the form of scp.
    std::string remote;
    /// Branch, tag or commit; empty: the remote's HEAD.
    std::string ref = {};
    /// Below the root of the repository; empty: all of it.
    std::string subdirectory = {};
    /// The commit that it must be, or its beginning; empty: any.
    std::string checksum = {};
    bool submodules = true;

    friend bool operator==(const GitFiles&, const GitFiles&) = default;
};

struct GitAccess {
    /// Settings of git for a host, name and value, that let it in: they may be secret.
    std::function<std::vector<std::pair<std::string, std::string>>(const std::string& remote)> settings = {};
    /// Socket of an ssh agent.
    std::optional<std::string> agent = {};
};

class GitTree final : public SourceTree {
public:
    /// `lease` must outlive it.
    GitTree(GitFiles what, layers::Lease& lease, GitAccess access);

    /// Finds out which commit it is, unless the checksum says that in full. Throws Error ("source.git",
    /// "source.checksum").
    void resolve_commit(std::stop_token stop) const;
    /// Of the commit, after prepare(); seconds since 1970.
    std::int64_t commit_time() const { return commit_time_; }

    /// Fetches and checks out, once. Throws Error ("source.git", "source.checksum").
    void prepare(const Work& work) const override;
    /// After resolve_commit().
    std::optional<Digest> identity() const override;
    /// These: after prepare().
    std::optional<SourceFileInfo> find(std::string_view path) const override;
    std::string resolve(std::string_view path) const override { return tree_->resolve(path); }
    std::vector<SourceFileInfo> children(std::string_view directory) const override;
    util::Fd open(const SourceFileInfo& file) const override { return tree_->open(file); }
    std::string why_absent(std::string_view) const override { return {}; }

private:
    std::string ask(std::vector<std::string> arguments, const std::stop_token& stop) const;
    void resolve_locked(const std::stop_token& stop) const;
    void fetch(const std::string& place, const std::stop_token& stop) const;
    void require_checksum() const;
    std::string remote_for_people() const;

    GitFiles what_;
    layers::Lease& lease_;
    GitAccess access_;

    mutable std::mutex mutex_;
    mutable std::string commit_;
    /// What to fetch: a full name of a branch or tag, or the commit.
    mutable std::string wanted_;
    mutable std::int64_t commit_time_ = 0;
    mutable std::optional<layers::UnfinishedLayer> place_;
    mutable std::unique_ptr<const LocalTree> tree_;
};

/// The commit that `git ls-remote` says a reference is, and the name to fetch it by; a branch wins over a tag.
struct RemoteCommit {
    std::string commit;
    std::string name;
};
std::optional<RemoteCommit> find_remote_commit(std::string_view ls_remote, std::string_view ref);

/// Seconds since 1970 of the committer in what `git cat-file commit` says. Nothing if it says none.
std::optional<std::int64_t> committer_time(std::string_view commit);

}  // namespace imgbuild::builder
