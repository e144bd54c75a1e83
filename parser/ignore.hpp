// Ignore files (.dockerignore): which files of a directory are not part of the build context.
//
// Each line is a pattern, the last one that matches a path or one of its parents decides, and "!" turns a pattern
// into an exception. "**" matches any number of directories; a file below an excluded directory is excluded unless a
// later exception matches it or one of its parents.
//
//     const IgnoreMatcher ignore(read_ignore_file(text));
//     if (ignore.excluded("src/main.o")) …
//
// A walk need not look into a directory for which can_skip() says so.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::parser {

/// Limits against hostile files; beyond them "parse.ignore-file-too-large".
inline constexpr std::size_t kMaxIgnorePatterns = 100000;
inline constexpr std::size_t kMaxIgnoreBytes = std::size_t{16} << 20;

/// The patterns of an ignore file: comments ("#" in the first column) and blank lines dropped, blanks around removed,
/// paths cleaned, a leading "/" dropped, a byte order mark ignored. Whether they are patterns at all is only asked by
/// IgnoreMatcher.
std::vector<std::string> read_ignore_file(std::string_view text);

/// Compiled patterns. Immutable; may be used from several threads.
class IgnoreMatcher {
public:
    /// Matches nothing.
    IgnoreMatcher();
    /// Patterns as read_ignore_file() returns them. Throws Error "parse.bad-pattern", also for "!" alone.
    explicit IgnoreMatcher(const std::vector<std::string>& patterns);
    ~IgnoreMatcher();
    IgnoreMatcher(IgnoreMatcher&&) noexcept;
    IgnoreMatcher& operator=(IgnoreMatcher&&) noexcept;

    /// Is the file or directory not part of the context? `path` is relative and "/"-separated. Parents are looked at
    /// as well, so paths may be asked in any order.
    bool excluded(std::string_view path) const;

    /// May a walk leave out everything below `directory`? True only if it is excluded and no later exception could
    /// match anything below.
    bool can_skip(std::string_view directory) const;

    bool empty() const;
    bool has_exceptions() const;
    /// Is one of the patterns "*", "**" or "**/*", and no exception among them?
    bool excludes_everything() const;

private:
    struct Pattern;
    std::vector<Pattern> patterns_;
    bool has_exceptions_ = false;
};

}  // namespace imgbuild::parser
