// What registries said that names mean, so that the next build need not ask again: below the store, one small file per
// name and platform.
//
//   resolved/<hex of the name>-<hex of the platform>
//
// It is memory and no more: an entry that is gone, damaged, or of another version is one that was never made. Files are
// replaced atomically, so any number of processes may remember and find at once; the newest kMost are kept.
#pragma once

#include "oci/resolve.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace imgbuild::layers {

/// An answer of a registry. The documents are what resolve_image() makes an image of, again and with all its checks.
struct ResolvedName {
    /// When it was given, seconds since 1970.
    std::int64_t time = 0;
    /// The image's manifest. Its digest is verified when the entry is read.
    oci::Document manifest;
    /// The bytes of the config that the manifest names.
    std::string config;
    /// The index that the name stands for, if it does not stand for the manifest itself.
    std::optional<Digest> index;
};

class ResolvedNames {
public:
    /// Entries kept; each has a few kilobytes, seldom more.
    static constexpr std::size_t kMost = 500;

    /// `root` is that of the store. Nothing is read or made yet.
    explicit ResolvedNames(const std::string& root) : directory_(root + "/resolved") {}

    /// `name` is the normal form of a reference, `platform` that of a platform.
    std::optional<ResolvedName> find(const std::string& name, const std::string& platform) const;
    /// Throws IoError.
    void remember(const std::string& name, const std::string& platform, const ResolvedName& what) const;
    /// For all platforms: what the name means has just been changed. Throws IoError.
    void forget(const std::string& name) const;

private:
    std::string path_of(const std::string& name, const std::string& platform) const;

    std::string directory_;
};

}  // namespace imgbuild::layers
