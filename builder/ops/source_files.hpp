// The contents that a File op copies: opened where its sources are, and held against what its key says of them.
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/context/kept_contents.hpp"
#include "builder/context/source_tree.hpp"
#include "builder/ops/selection.hpp"
#include "util/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// One action's source.
struct SourceFilesOf {
    /// Null for actions that copy nothing.
    std::shared_ptr<const SourceTree> tree;
    /// Of a source that is known by the checksums of its files: what was selected, and the digests of its regular files
    /// in the order of files_of(). Otherwise `contents` is empty.
    const Selection* selection = nullptr;
    const std::vector<Digest>* contents = nullptr;
    /// Contents that need not be read any more, by the same numbers. May be null.
    const KeptContents* kept = nullptr;
};

/// May be used from several threads. Refers to the selections and digests that it was made of.
class SourceFiles {
public:
    /// One element per action. `looked_at`: before any checksum was taken, nanoseconds since 1970.
    SourceFiles(std::vector<SourceFilesOf> sources, std::int64_t looked_at);

    /// Do the times of this action's files mean something?
    bool keeps_times(std::size_t action) const;
    /// `file` is an element of the action's selection. Lends the opened file to `use`, and then sees to it that what
    /// was read is what the key speaks of: the user's files can change in between. Throws Error ("source.changed"),
    /// IoError.
    void read(std::size_t action, const SourceFileInfo& file,
              const std::function<void(const layers::Extent& content)>& use) const;
    /// What the key speaks of, if it was kept. Lives as long as the contents that were given.
    std::optional<std::string_view> find_kept(std::size_t action, const SourceFileInfo& file) const;

private:
    std::optional<std::size_t> number_of(std::size_t action, const SourceFileInfo& file) const;

    std::vector<SourceFilesOf> sources_;
    /// By action: the files with their numbers, in the order of the addresses. Empty without checksums.
    std::vector<std::vector<std::pair<const SourceFileInfo*, std::size_t>>> numbers_;
    std::int64_t looked_at_;
};

}  // namespace imgbuild::builder
