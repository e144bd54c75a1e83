#include "builder/context/open_context.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/git_command.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>
#include <filesystem>

namespace imgbuild::builder {
namespace {

struct IgnoreFile {
    std::string name;
    std::string text;
};

std::optional<std::string> read_if_there(const std::string& path) {
    try {
        return util::read_file(path, parser::kMaxIgnoreBytes);
    } catch (const IoError& error) {
        if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return std::nullopt;
        throw;
    }
}

std::optional<IgnoreFile> find_ignore_file(const util::RootedDir& root, const IgnoreFileSearch& search) {
    if (!search.given.empty()) {
        return IgnoreFile{search.given, util::read_file(search.given, parser::kMaxIgnoreBytes)};
    }
    const std::string& build_file = search.build_file;
    if (!build_file.empty()) {
        for (const char* suffix : {".dockerignore", ".containerignore"}) {
            if (auto text = read_if_there(build_file + suffix))
                return IgnoreFile{build_file + suffix, std::move(*text)};
        }
    }
    for (const char* name : {".containerignore", ".dockerignore"}) {
        if (auto text = root.read_file(name, parser::kMaxIgnoreBytes)) return IgnoreFile{name, std::move(*text)};
    }
    return std::nullopt;
}

std::optional<LocalTree::DirectoryId> directory_id(const std::string& path) {
    struct stat status {};
    if (path.empty() || ::stat(path.c_str(), &status) != 0) return std::nullopt;
    return LocalTree::DirectoryId(status.st_dev, status.st_ino);
}

bool is_checkout(const std::string& path) {
    std::error_code error;
    std::filesystem::path at = std::filesystem::absolute(path, error);
    for (; !error; at = at.parent_path()) {
        if (std::filesystem::exists(at / ".git", error)) return true;
        if (at == at.root_path()) return false;
    }
    return false;
}

}  // namespace

std::shared_ptr<const LocalTree> open_context(const std::string& path, const IgnoreFileSearch& search,
                                              const std::string& store, layers::Store* memory) {
    const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        throw Error(
            {.code = "source.no-context",
             .message = fmt::format("the context {} cannot be opened: {}", util::quote(path), strerrordesc_np(errno)),
             .hint = "give an existing directory, for example '.'",
             .where = {}});
    }
    util::RootedDir root{util::Fd(fd)};
    auto ignore = find_ignore_file(root, search);
    const auto hidden = directory_id(store);
    if (!ignore) return std::make_shared<LocalTree>(std::move(root), parser::IgnoreMatcher(), "", hidden, memory);
    return in_context(fmt::format("reading {}", util::quote(ignore->name)), [&] {
        parser::IgnoreMatcher matcher(parser::read_ignore_file(ignore->text));
        return std::make_shared<LocalTree>(std::move(root), std::move(matcher), ignore->name, hidden, memory);
    });
}

parser::IgnoreMatcher load_ignore_rules(const std::string& path, const IgnoreFileSearch& search) {
    const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return {};
    const auto ignore = find_ignore_file(util::RootedDir{util::Fd(fd)}, search);
    if (!ignore) return {};
    return in_context(fmt::format("reading {}", util::quote(ignore->name)),
                      [&] { return parser::IgnoreMatcher(parser::read_ignore_file(ignore->text)); });
}

std::optional<std::int64_t> checkout_time(const std::string& path) {
    if (!is_checkout(path)) return std::nullopt;
    const GitOutcome commit =
        in_context(fmt::format("asking for the commit of the checkout {}", util::quote(path)), [&] {
            return run_git({.arguments = {"-C", path, "cat-file", "commit", "HEAD"}}, {});
        });
    if (commit.exit_code != 0) return std::nullopt;
    return committer_time(commit.output);
}

}  // namespace imgbuild::builder
