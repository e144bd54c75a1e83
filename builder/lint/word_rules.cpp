#include "builder/lint/word_rules.hpp"

#include <imgbuild/error.hpp>

#include "parser/git_reference.hpp"
#include "parser/glob.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace imgbuild::builder {
namespace {

template <std::size_t Count>
bool has_word(std::string_view name, const std::array<std::string_view, Count>& words) {
    const std::string lower = util::to_lower(name);
    const std::vector<std::string_view> parts = util::split(lower, '_');
    return std::any_of(parts.begin(), parts.end(), [&words](std::string_view part) {
        return std::find(words.begin(), words.end(), part) != words.end();
    });
}

}  // namespace

bool looks_like_secret(std::string_view name) {
    static constexpr std::array<std::string_view, 10> kSecret = {
        "apikey", "auth", "credential", "credentials", "key", "token", "password", "pword", "passwd", "secret"};
    static constexpr std::array<std::string_view, 3> kHarmless = {"public", "file", "version"};
    return has_word(name, kSecret) && !has_word(name, kHarmless);
}

bool is_remote_source(std::string_view source) {
    if (source.starts_with("http://") || source.starts_with("https://")) {
        return true;
    }
    const std::optional<parser::GitReference> git = parser::parse_git_reference(source);
    return git && !git->looks_local;
}

std::optional<std::string> ignored_source(std::string_view source, const parser::IgnoreMatcher& ignore) {
    if (ignore.empty() || ignore.has_exceptions()) {
        return std::nullopt;
    }
    std::string path = parser::clean_pattern(source);
    // The root itself is no file that a pattern hides, unless it hides all that is in it.
    const bool is_root = path == "." || path == "/";
    const bool ignored = is_root ? ignore.excludes_everything() : ignore.excluded(path);
    return ignored ? std::optional(std::move(path)) : std::nullopt;
}

std::optional<std::string> list_of_words(std::string_view command) {
    static constexpr std::string_view kBlanks = " \t";
    // What a shell does itself, and no program does.
    static constexpr std::string_view kShellWords =
        " . : alias bg break cd command continue eval exec exit export fc fg getopts hash if for case jobs read "
        "readonly return set shift source times trap type ulimit umask unalias unset until wait while ";
    if (command.find_first_of("$`\"'\\|&;<>()*?[]{}~#!=\n") != std::string_view::npos) {
        return std::nullopt;
    }
    std::vector<std::string> words;
    while ((command = util::trim(command, kBlanks)).size() > 0) {
        const std::string_view word = command.substr(0, command.find_first_of(kBlanks));
        words.push_back(fmt::format("\"{}\"", word));
        command.remove_prefix(word.size());
    }
    if (words.empty() || kShellWords.contains(fmt::format(" {} ", words.front().substr(1, words.front().size() - 2)))) {
        return std::nullopt;
    }
    return fmt::format("[{}]", fmt::join(words, ", "));
}

bool is_one_plain_word(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_./:@%+,-=$").contains(c);
    });
}

bool is_absolute_on(std::string_view path, std::string_view os) {
    const bool has_drive = path.size() > 1 && path[1] == ':';
    return path.starts_with('/') || (os == "windows" && (path.starts_with('\\') || has_drive));
}

bool lies_below(std::string_view path, std::string_view directory) {
    return directory == "/" || path == directory ||
           (path.starts_with(directory) && path.substr(directory.size()).starts_with('/'));
}

}  // namespace imgbuild::builder
