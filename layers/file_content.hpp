// The contents of one file, and how they come into a new file of a tree or of an output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "util/bytes.hpp"
#include "util/fd.hpp"

namespace imgbuild::layers {

/// Where contents lie in an open file, of which nothing is said about its position.
struct Extent {
    int fd = -1;
    /// From there on, and what follows them is something else's. Nothing: they are the whole file, so that another size
    /// than expected is an error.
    std::optional<std::uint64_t> offset = {};
};

/// An open file and where in it.
struct OpenContent {
    util::Fd fd;
    std::optional<std::uint64_t> offset = {};

    Extent extent() const { return {.fd = fd.get(), .offset = offset}; }
};

/// Reads contents of `size` bytes once, front to back. Of a whole file it reads on, so that whoever counts sees an
/// excess, from the file's position, which it moves; threads may share the file of a part.
class ContentSource final : public util::Source {
public:
    ContentSource(const Extent& from, std::string name, std::uint64_t size)
        : from_(from), name_(std::move(name)), whole_(from.fd, name_, size), left_(size) {}
    std::size_t read(std::span<std::byte> into) override;

private:
    Extent from_;
    std::string name_;
    util::RegularFileSource whole_;
    /// Of a part.
    std::uint64_t left_;
};

/// Exactly `size` bytes of `content` into the new, empty file `fd`; long runs of zeros become holes. CorruptData if
/// `content` has fewer or more.
void write_content(int fd, util::Source& content, std::uint64_t size, const std::string& path);
/// The `size` bytes of `from`, a regular file or a part of one, into the new, empty file `to`: shared if the file
/// system can, holes kept. CorruptData ("corrupt.changed") if it has another size.
void copy_content(const Extent& from, int to, std::uint64_t size, const std::string& path);

}  // namespace imgbuild::layers
