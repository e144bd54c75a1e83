#include "registry/image_files.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>

namespace imgbuild::registry {
namespace {

// Owns the descriptor that it reads.
class OwningSource final : public util::Source {
public:
    OwningSource(util::Fd fd, std::string name) : fd_(std::move(fd)), source_(fd_.get(), std::move(name)) {}
    std::size_t read(std::span<std::byte> into) override { return source_.read(into); }

private:
    util::Fd fd_;
    util::FdSource source_;
};

}  // namespace

std::optional<std::string> ImageFiles::read(std::string_view name, std::size_t limit) const {
    if (!size_of(name)) return std::nullopt;
    const auto content = open(name);
    return util::read_all(*content, limit, util::quote(name));
}

DirectoryFiles::DirectoryFiles(const std::string& path) : path_(path), root_(util::RootedDir::open(path)) {}

util::Fd DirectoryFiles::open_regular(std::string_view name) const {
    // Without O_NONBLOCK a FIFO in place of the file would hold us forever.
    util::Fd fd = root_.open_file(name, O_RDONLY | O_NONBLOCK, util::Follow::no);
    struct stat status {};
    util::check(::fstat(fd.get(), &status), "stat", fmt::format("{}/{}", path_, name));
    if (S_ISREG(status.st_mode)) return fd;
    throw CorruptData({.code = "corrupt.oci-layout",
                       .message = fmt::format("{} in {} is no regular file", util::quote(name), util::quote(path_)),
                       .hint = {},
                       .where = {}});
}

std::optional<std::uint64_t> DirectoryFiles::size_of(std::string_view name) const {
    if (!root_.stat(name, util::Follow::no)) return std::nullopt;
    const util::Fd fd = open_regular(name);
    struct stat status {};
    util::check(::fstat(fd.get(), &status), "stat", fmt::format("{}/{}", path_, name));
    return static_cast<std::uint64_t>(status.st_size);
}

std::optional<std::string> DirectoryFiles::read(std::string_view name, std::size_t limit) const {
    return root_.read_file(name, limit);
}

std::unique_ptr<util::Source> DirectoryFiles::open(std::string_view name) const {
    return std::make_unique<OwningSource>(open_regular(name), fmt::format("{}/{}", path_, name));
}

}  // namespace imgbuild::registry
