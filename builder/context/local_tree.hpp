// A directory of the user's as a source of files: the build context, or one named by --build-context.
//
// Nothing is copied beforehand: files are looked at when an instruction selects them. What the ignore file excludes is
// not there. Owners of files are 0:0, as a checkout's owner means nothing; modes, links and attributes
// (access lists and capabilities among them) are kept.
// Checksums are content_checksums()'s matter, which remembers them between builds. Of files that did not change since
// they were learnt children() knows the contents, and that they have no attributes, by one look at each.
#pragma once

#include "builder/context/directory_memory.hpp"
#include "builder/context/source_tree.hpp"
#include "parser/ignore.hpp"
#include "util/rooted_dir.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace imgbuild::builder {

class LocalTree final : public SourceTree {
public:
    /// A directory by device and inode number.
    using DirectoryId = std::pair<std::uint64_t, std::uint64_t>;

    /// `ignore_name` is the ignore file's name for messages. `hidden` is a directory that is not there, wherever it
    /// lies: the store, which changes while it is read. `memory`, which must outlive this, keeps what is learnt of the
    /// files; without it nothing is.
    LocalTree(util::RootedDir root, parser::IgnoreMatcher ignore, std::string ignore_name,
              std::optional<DirectoryId> hidden = {}, layers::Store* memory = nullptr);

    std::optional<SourceFileInfo> find(std::string_view path) const override;
    std::string resolve(std::string_view path) const override;
    std::vector<SourceFileInfo> children(std::string_view directory) const override;
    layers::OpenContent open(const SourceFileInfo& file) const override;
    void learn(const std::vector<const SourceFileInfo*>& files, const std::vector<Digest>& contents) const override;
    std::string why_absent(std::string_view path) const override;

private:
    /// Nothing for what is hidden.
    std::optional<SourceFileInfo> describe(int directory, const std::string& name, std::string path,
                                           DirectoryMemory::Visit* visit = nullptr) const;
    bool visible(std::string_view path, bool is_directory) const;
    bool has_visible(std::string_view directory) const;

    util::RootedDir root_;
    parser::IgnoreMatcher ignore_;
    std::string ignore_name_;
    std::optional<DirectoryId> hidden_;
    /// Null without a store.
    std::unique_ptr<DirectoryMemory> memory_;
};

}  // namespace imgbuild::builder
