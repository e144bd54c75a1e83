// The named files of which a layout or an archive of images consists: a directory, or a tar that lies on disk.
#pragma once

#include "util/bytes.hpp"
#include "util/fd.hpp"
#include "util/rooted_dir.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::registry {

/// Regular files only; what else has the name counts as malformed. Immutable; may be used from several threads.
class ImageFiles {
public:
    virtual ~ImageFiles() = default;

    /// Bytes of the file; nothing if there is none. Throws CorruptData.
    virtual std::optional<std::uint64_t> size_of(std::string_view name) const = 0;
    /// Throws CorruptData if there is none.
    virtual std::unique_ptr<util::Source> open(std::string_view name) const = 0;

    /// A small file as a whole; nothing if there is none. Throws CorruptData ("corrupt.too-large").
    virtual std::optional<std::string> read(std::string_view name, std::size_t limit) const;
};

/// Files are opened inside the directory, whatever symbolic links say; open() follows none at the end of a name.
class DirectoryFiles final : public ImageFiles {
public:
    /// Throws IoError.
    explicit DirectoryFiles(const std::string& path);

    std::optional<std::uint64_t> size_of(std::string_view name) const override;
    std::unique_ptr<util::Source> open(std::string_view name) const override;
    std::optional<std::string> read(std::string_view name, std::size_t limit) const override;

private:
    util::Fd open_regular(std::string_view name) const;

    std::string path_;
    util::RootedDir root_;
};

/// The table of contents of an uncompressed tar; contents are read where they lie. ustar, pax and GNU names; links
/// within the archive are followed, as docker once wrote equal layers. Of two files of one name the later counts.
class TarFiles final : public ImageFiles {
public:
    /// Reads all headers. Throws IoError; CorruptData ("corrupt.archive") for what is no tar, is compressed or cut
    /// short; "corrupt.archive-limit" for more than any image has.
    explicit TarFiles(const std::string& path);

    std::optional<std::uint64_t> size_of(std::string_view name) const override;
    std::unique_ptr<util::Source> open(std::string_view name) const override;

private:
    struct Entry {
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        /// Name of another entry; then the numbers mean nothing.
        std::optional<std::string> link = {};
    };
    class Reader;

    const Entry* find(std::string_view name) const;

    std::string path_;
    util::Fd fd_;
    std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace imgbuild::registry
