// Names of git repositories, as ADD and build contexts take them (SPEC A8.05).
//
//   https://host/repo.git#REF:SUBDIR      http(s) only if the path ends in ".git"; ssh:// and git:// whatever it is
//   git@host:repo.git#REF:SUBDIR          the form of scp
//   github.com/owner/repo                 looks like a path; only contexts take it
//   …?ref=R&tag=T&branch=B&subdir=D&checksum=C&keep-git-dir&submodules=false&mtime=commit&fetch-by-commit
//
// Pure: nothing is looked up. The parts are foreign text, so whoever hands them to a program must do so as arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::parser {

struct GitReference {
    /// What git is to fetch from: without query and fragment, with user and password if there were any.
    std::string remote;
    /// The last part of `remote` without ".git": "repo".
    std::string short_name;
    /// Branch, tag ("refs/tags/…" if it was asked for as one), or commit. Empty: the remote's HEAD.
    std::string ref;
    /// As written behind "subdir=", cleaned and without a leading "/" if it stood behind "#…:". Empty: the root.
    std::string subdirectory;
    /// The commit that the reference must be, or its beginning. Empty: any.
    std::string checksum;
    std::optional<bool> keep_git_dir;
    std::optional<bool> submodules;
    /// "checkout" or "commit": which times files get. Empty: not given.
    std::string mtime;
    /// Fetch `checksum` itself instead of asking what `ref` is.
    bool fetch_by_commit = false;
    /// The bytes travel unencrypted and unproven: http:// and git://.
    bool unencrypted = false;
    /// "github.com/…": could be a local path as well.
    bool looks_local = false;
};

/// Nothing if `text` names no git repository. Throws Error "parse.bad-git-reference" if it does, but with options that
/// are unknown, incomplete or contradict each other.
std::optional<GitReference> parse_git_reference(std::string_view text);

}  // namespace imgbuild::parser
