// A build context that came as one stream, from standard input or a URL: a tar, compressed or not, or nothing at all.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/context/source_tree.hpp"
#include "layers/store.hpp"
#include "util/fd.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Immutable; may be used from several threads.
class ArchiveContext {
public:
    /// Nothing in it: the stream was the build file.
    ArchiveContext() = default;
    /// `archive` is a regular file of ours with a tar in it, `name` what people call it.
    ArchiveContext(util::Fd archive, std::string name) : archive_(std::move(archive)), name_(std::move(name)) {}

    const std::string& name() const { return name_; }
    /// The first of `names` (paths in the tar) that is there, by the order of `names`; at most `limit` bytes.
    /// Throws CorruptData.
    std::optional<SourceFile> find_file(const std::vector<std::string>& names, std::uint64_t limit) const;
    /// The files as a tree, unpacked into the lease. Everything belongs to root, and no ignore file counts: whoever
    /// packed the archive has chosen. Throws CorruptData, Cancelled.
    std::shared_ptr<const SourceTree> unpack(layers::Lease& lease, std::stop_token stop) const;

private:
    util::Fd archive_;
    std::string name_;
};

}  // namespace imgbuild::builder
