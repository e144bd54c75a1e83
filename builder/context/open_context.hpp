// Opening a directory of the user's as a context, with the ignore file that belongs to it.
#pragma once

#include "builder/context/local_tree.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace imgbuild::builder {

/// Which ignore file counts: `given` if it is not empty, else the first of these that exists:
/// `build_file`.dockerignore, `build_file`.containerignore (if `build_file` is not empty), and in the directory
/// .containerignore, .dockerignore. Both are paths of the user's.
struct IgnoreFileSearch {
    std::string build_file = {};
    std::string given = {};
};

/// `store` (a path of ours, or empty) is left out if it lies in the directory. `memory`: see LocalTree.
/// Throws Error ("source.no-context") if `path` is no directory, and for a malformed ignore file.
std::shared_ptr<const LocalTree> open_context(const std::string& path, const IgnoreFileSearch& ignore,
                                              const std::string& store = {}, layers::Store* memory = nullptr);

/// The rules of that ignore file alone; none if there is no file, or no directory.
parser::IgnoreMatcher load_ignore_rules(const std::string& path, const IgnoreFileSearch& search);

/// Seconds since 1970 of the commit that is checked out in `path` or above it. Nothing if there is no checkout or no
/// commit. `git` is asked, by plumbing that runs no command from the repository's own config.
/// Throws Error ("source.git") if there is a checkout and git cannot say.
std::optional<std::int64_t> checkout_time(const std::string& path);

}  // namespace imgbuild::builder
