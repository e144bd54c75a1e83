#include "builder/context/open_context.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

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

// The output of `git cat-file commit HEAD`; nothing if git says that there is none.
std::optional<std::string> read_head_commit(const std::string& path) {
    std::array<const char*, 7> argv = {"git", "-C", path.c_str(), "cat-file", "commit", "HEAD", nullptr};
    std::vector<std::string> environment = {"GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0",
                                            "LC_ALL=C"};
    for (const char* name : {"PATH", "HOME", "XDG_CONFIG_HOME"}) {
        if (const char* value = ::getenv(name)) environment.push_back(fmt::format("{}={}", name, value));
    }
    std::vector<char*> envp;
    for (std::string& variable : environment) envp.push_back(variable.data());
    envp.push_back(nullptr);

    util::Pipe output = util::make_pipe();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid = -1;
    const int failure =
        ::posix_spawnp(&pid, "git", &actions, nullptr, const_cast<char* const*>(argv.data()), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failure != 0) {
        throw Error({.code = "source.git",
                     .message = fmt::format("{} is a git checkout, and git cannot be started to ask for its commit: {}",
                                            util::quote(path), strerrordesc_np(failure)),
                     .hint = "install git, or say the image's time: --source-date-epoch SECONDS",
                     .where = {}});
    }
    output.write.reset();
    constexpr std::size_t kLimit = 1U << 20;
    std::string text;
    std::exception_ptr broken;
    try {
        text = util::read_all(output.read.get(), kLimit, "the commit");
    } catch (...) {
        broken = std::current_exception();
    }
    output.read.reset();
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (broken) std::rethrow_exception(broken);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
    return text;
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

}  // namespace

std::shared_ptr<const LocalTree> open_context(const std::string& path, const IgnoreFileSearch& search,
                                              const std::string& store) {
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
    if (!ignore) return std::make_shared<LocalTree>(std::move(root), parser::IgnoreMatcher(), "", hidden);
    return in_context(fmt::format("reading {}", util::quote(ignore->name)), [&] {
        parser::IgnoreMatcher matcher(parser::read_ignore_file(ignore->text));
        return std::make_shared<LocalTree>(std::move(root), std::move(matcher), ignore->name, hidden);
    });
}

parser::IgnoreMatcher load_ignore_rules(const std::string& path, const std::string& build_file) {
    const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return {};
    const auto ignore = find_ignore_file(util::RootedDir{util::Fd(fd)}, build_file);
    if (!ignore) return {};
    return in_context(fmt::format("reading {}", util::quote(ignore->name)),
                      [&] { return parser::IgnoreMatcher(parser::read_ignore_file(ignore->text)); });
}

std::optional<std::int64_t> checkout_time(const std::string& path) {
    if (!is_checkout(path)) return std::nullopt;
    const auto commit = read_head_commit(path);
    if (!commit) return std::nullopt;
    return committer_time(*commit);
}

}  // namespace imgbuild::builder
