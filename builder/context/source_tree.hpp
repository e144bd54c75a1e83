// What COPY and ADD read from: a tree of files, be it a directory of the user's or the result of another node.
//
// Both are hostile (a symbolic link may point anywhere), so paths are resolved inside the tree only. Objects are
// immutable and may be used from several threads.
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/work.hpp"
#include "layers/entry.hpp"
#include "layers/file_content.hpp"
#include "layers/store.hpp"
#include "util/fd.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// A name in a source tree. `entry.path` is relative to the tree's root; hard links appear as what they link to.
struct SourceFileInfo {
    layers::Entry entry;
    /// Files with several names: equal for all names of one file. Links, pipes and devices can have several as well;
    /// a copy gives those a node for each name, as it does with other builders, and only whole images keep them.
    std::optional<std::pair<std::uint64_t, std::uint64_t>> link_group;
    /// Of a file of the user's, when it was looked at.
    std::optional<layers::FileFingerprint> seen = {};
    /// Of such a file: what it holds, where that is known without reading it.
    std::optional<Digest> content = {};
};

struct CopyFiles;  // builder/graph.hpp
struct Selection;  // builder/ops/selection.hpp

class SourceTree {
public:
    virtual ~SourceTree() = default;

    /// Whatever has to be done before anything below is asked, once or more often.
    virtual void prepare(const Work&) const {}
    /// What keys see of the whole tree, if that is known without looking at it. prepare() need not have been called.
    virtual std::optional<Digest> identity() const { return std::nullopt; }
    /// Do the times of its files mean something, so that a copy has them? A checkout's do not.
    virtual bool keeps_times() const { return false; }

    /// What `path` (clean) is, nothing on the way followed but directories; nothing if it is not there or excluded.
    virtual std::optional<SourceFileInfo> find(std::string_view path) const = 0;
    /// `path` with all links followed inside the tree. Components that are not there stay as they are.
    virtual std::string resolve(std::string_view path) const = 0;
    /// What lies directly in a directory, sorted by name.
    virtual std::vector<SourceFileInfo> children(std::string_view directory) const = 0;
    /// Opens a regular file for reading. Only another node's files may be parts of larger ones.
    virtual layers::OpenContent open(const SourceFileInfo& file) const = 0;
    /// Is told what files hold (digests in their order) that had no `content`, for builds to come.
    virtual void learn(const std::vector<const SourceFileInfo*>&, const std::vector<Digest>&) const {}
    /// What select_files() is about to find out, if it has just been found out; once. Mostly nothing.
    virtual std::unique_ptr<Selection> selected_ahead(const CopyFiles& read) const;
    /// What `path` was excluded by, for messages: "is excluded by '.dockerignore'"; empty if nothing excludes it.
    virtual std::string why_absent(std::string_view path) const = 0;
};

}  // namespace imgbuild::builder
