#include "builder/context/git_tree.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/git_command.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <algorithm>

namespace imgbuild::builder {
namespace {

constexpr std::size_t kCommitDigits = 40;
constexpr std::size_t kCommitDigits256 = 64;

bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_commit(std::string_view text) {
    return (text.size() == kCommitDigits || text.size() == kCommitDigits256) && is_hex(text);
}

Error git_error(std::string message, std::string hint = {}) {
    return Error({.code = "source.git", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// Checkouts have the modes that our umask lets them have.
SourceFileInfo with_plain_mode(SourceFileInfo file) {
    using layers::EntryType;
    if (file.entry.type == EntryType::directory) file.entry.mode = 0755;
    if (file.entry.type == EntryType::file) file.entry.mode = (file.entry.mode & 0100U) != 0 ? 0755 : 0644;
    return file;
}

}  // namespace

std::optional<RemoteCommit> find_remote_commit(std::string_view ls_remote, std::string_view ref) {
    const std::string wanted(ref.empty() ? "HEAD" : ref);
    // In the order in which they count. A tag that is an object of its own leads to its commit by "^{}".
    std::vector<std::string> names = {wanted};
    if (!wanted.starts_with("refs/") && wanted != "HEAD") names = {"refs/heads/" + wanted, "refs/tags/" + wanted};
    for (const std::string& name : names) {
        std::optional<RemoteCommit> found;
        for (const std::string_view line : util::split(ls_remote, '\n')) {
            const auto parts = util::split(line, '\t');
            if (parts.size() != 2 || !is_commit(parts[0])) continue;
            if (parts[1] == name && !found) found = RemoteCommit{.commit = std::string(parts[0]), .name = name};
            if (parts[1] == name + "^{}") found = RemoteCommit{.commit = std::string(parts[0]), .name = name};
        }
        if (found) return found;
    }
    return std::nullopt;
}

// "committer Name <mail> 1700000000 +0100", in the lines before the first empty one.
std::optional<std::int64_t> committer_time(std::string_view commit) {
    for (const std::string_view line : util::split(commit, '\n')) {
        if (line.empty()) break;
        if (!line.starts_with("committer ")) continue;
        const auto words = util::split(line, ' ');
        if (words.size() < 3) break;
        const auto number = util::parse_number(words[words.size() - 2]);
        if (number && *number < (1ULL << 40)) return static_cast<std::int64_t>(*number);
    }
    return std::nullopt;
}

GitTree::GitTree(GitFiles what, layers::Lease& lease, GitAccess access)
    : what_(std::move(what)), lease_(lease), access_(std::move(access)) {}

// Without a user name or password.
std::string GitTree::remote_for_people() const {
    const std::size_t scheme = what_.remote.find("://");
    if (scheme == std::string::npos) return what_.remote;
    const std::size_t host = scheme + 3;
    const std::size_t at = what_.remote.find('@', host);
    if (at == std::string::npos || at > what_.remote.find('/', host)) return what_.remote;
    return what_.remote.substr(0, host) + what_.remote.substr(at + 1);
}

std::string GitTree::ask(std::vector<std::string> arguments, const std::stop_token& stop) const {
    GitCommand command{.arguments = std::move(arguments), .settings = {}, .agent = access_.agent};
    if (access_.settings) command.settings = access_.settings(what_.remote);
    const GitOutcome outcome = run_git(command, stop);
    if (outcome.exit_code == 0) return outcome.output;
    std::string complaint(util::trim(outcome.complaint));
    // git repeats the URL as it was given.
    for (std::size_t at = 0; (at = complaint.find(what_.remote, at)) != std::string::npos;) {
        const std::string shown = remote_for_people();
        complaint.replace(at, what_.remote.size(), shown);
        at += shown.size();
    }
    throw git_error(fmt::format("git cannot get {}: {}", util::quote(remote_for_people()), util::quote(complaint)),
                    "check the name and your rights; secrets: --secret id=GIT_AUTH_TOKEN,env=VARIABLE");
}

void GitTree::require_checksum() const {
    if (commit_.starts_with(what_.checksum)) return;
    throw Error({.code = "source.checksum",
                 .message = fmt::format("{} of {} is the commit {}, and {} was asked for",
                                        util::quote(what_.ref.empty() ? "HEAD" : what_.ref),
                                        util::quote(remote_for_people()), commit_, util::quote(what_.checksum)),
                 .hint = "look at what the repository has now before you change the checksum",
                 .where = {}});
}

void GitTree::resolve_locked(const std::stop_token& stop) const {
    if (!commit_.empty()) return;
    if (is_commit(what_.ref)) {
        commit_ = what_.ref;
        wanted_ = what_.ref;
    } else if (is_commit(what_.checksum)) {
        // Known without asking; whether the reference is this commit is seen when it is fetched.
        commit_ = what_.checksum;
        return;
    } else {
        const std::string ref = what_.ref.empty() ? "HEAD" : what_.ref;
        const std::string listed = ask({"ls-remote", "--", what_.remote, ref, ref + "^{}"}, stop);
        const auto found = find_remote_commit(listed, what_.ref);
        if (!found) {
            throw git_error(
                fmt::format("{} has no branch or tag {}", util::quote(remote_for_people()), util::quote(what_.ref)),
                "a commit is named by all of its digits");
        }
        commit_ = found->commit;
        wanted_ = found->name;
    }
    require_checksum();
}

void GitTree::resolve_commit(std::stop_token stop) const {
    const std::lock_guard lock(mutex_);
    resolve_locked(stop);
}

void GitTree::fetch(const std::string& place, const std::stop_token& stop) const {
    const auto here = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"-C", place});
        return ask(std::move(arguments), stop);
    };
    here({"init", "-q", "--template="});
    const std::string wanted = !wanted_.empty() ? wanted_ : what_.ref.empty() ? std::string("HEAD") : what_.ref;
    try {
        here({"fetch", "-q", "--depth=1", "--no-tags", "--", what_.remote, wanted});
    } catch (const Cancelled&) {
        throw;
    } catch (const Error&) {
        if (!is_commit(wanted)) throw;
        // Some servers give out no single commits: then all that there is, and the commit may be in it.
        here({"fetch", "-q", "--", what_.remote, "+refs/heads/*:refs/fetched/heads/*",
              "+refs/tags/*:refs/fetched/tags/*"});
    }
    const std::string tip = is_commit(wanted) ? wanted : "FETCH_HEAD";
    const std::string got(util::trim(here({"rev-parse", "--verify", "-q", tip + "^{commit}"})));
    if (got != commit_) {
        commit_ = got;
        require_checksum();
        throw git_error(fmt::format("{} changed while it was fetched", util::quote(remote_for_people())),
                        "build again");
    }
    here({"checkout", "-q", "--detach", commit_});
    if (what_.submodules && util::RootedDir::open(place).stat(".gitmodules", util::Follow::no)) {
        here({"submodule", "update", "-q", "--init", "--recursive", "--depth=1"});
    }
    commit_time_ = committer_time(here({"cat-file", "commit", commit_})).value_or(0);
}

void GitTree::prepare(const Work& work) const {
    const std::lock_guard lock(mutex_);
    if (tree_) return;
    resolve_locked(work.stop);
    layers::UnfinishedLayer place = lease_.begin_layer();
    fetch(place.tree(), work.stop);
    const util::RootedDir root = util::RootedDir::open(place.tree());
    auto directory = root.find(what_.subdirectory, O_PATH | O_DIRECTORY);
    if (!directory) {
        throw git_error(
            fmt::format("{} has no directory {}", util::quote(remote_for_people()), util::quote(what_.subdirectory)));
    }
    tree_ = std::make_unique<const LocalTree>(util::RootedDir(std::move(*directory)),
                                              parser::IgnoreMatcher({".git", "**/.git"}), "");
    place_ = std::move(place);
}

std::optional<Digest> GitTree::identity() const {
    const std::lock_guard lock(mutex_);
    if (commit_.empty()) return std::nullopt;
    return util::Sha256::of(fmt::format("git\n{}\n{}\n{}", commit_, what_.subdirectory, what_.submodules));
}

std::optional<SourceFileInfo> GitTree::find(std::string_view path) const {
    return tree_->find(path).transform(with_plain_mode);
}

std::vector<SourceFileInfo> GitTree::children(std::string_view directory) const {
    std::vector<SourceFileInfo> out = tree_->children(directory);
    for (SourceFileInfo& file : out) file = with_plain_mode(std::move(file));
    return out;
}

}  // namespace imgbuild::builder
