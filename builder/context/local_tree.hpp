// A directory of the user's as a source of files: the build context, or one named by --build-context.
//
// Nothing is copied beforehand: files are looked at when an instruction selects them. What the ignore file excludes is
// not there. Owners of files are 0:0, as a checkout's owner means nothing; modes, links and attributes are kept.
// Checksums are asked for through a ChecksumCache, which remembers them between builds.
#pragma once

#include "builder/context/source_tree.hpp"
#include "parser/ignore.hpp"
#include "util/rooted_dir.hpp"

#include <map>
#include <memory>
#include <string>

namespace imgbuild::builder {

class LocalTree final : public SourceTree {
public:
    /// `ignore_name` is the ignore file's name for messages.
    LocalTree(util::RootedDir root, parser::IgnoreMatcher ignore, std::string ignore_name);

    std::optional<SourceFileInfo> find(std::string_view path) const override;
    std::string resolve(std::string_view path) const override;
    std::vector<SourceFileInfo> children(std::string_view directory) const override;
    util::Fd open(const SourceFileInfo& file) const override;
    std::string why_absent(std::string_view path) const override;

private:
    SourceFileInfo describe(int directory, const std::string& name, std::string path) const;
    bool visible(std::string_view path, bool is_directory) const;
    bool has_visible(std::string_view directory) const;

    util::RootedDir root_;
    parser::IgnoreMatcher ignore_;
    std::string ignore_name_;
};

}  // namespace imgbuild::builder
