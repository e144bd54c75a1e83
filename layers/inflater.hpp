// Undoing DEFLATE in gzip members, by the fastest library that this machine has. Private to layers/.
//
// ISA-L's inflate is about twice as fast as zlib's, and inflating is the largest part of what unpacking an image costs.
// Debian ships it as a shared library only, which every start would pay for, so it is loaded when the first member is
// begun (as libcurl is: docs/decisions/0003); without it zlib does the work. Both give the same bytes or refuse.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace imgbuild::layers {

struct Inflated {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    /// The member is complete, and its checksum and length are right.
    bool ended = false;
};

/// Single-threaded; several may be at work.
class Inflater {
public:
    virtual ~Inflater() = default;
    virtual void begin_member() = 0;
    /// Takes a prefix of `in` and fills a prefix of `out` (not empty). With an empty `in` it yields what it still
    /// holds; neither progress nor an end then means that the data are cut off. Throws CorruptData
    /// ("corrupt.compressed").
    virtual Inflated inflate(std::span<const std::byte> in, std::span<std::byte> out) = 0;
};

inline constexpr const char* kFastInflateLibrary = "libisal.so.2";

/// Null if `library` cannot be loaded or is not ISA-L. It stays loaded.
std::unique_ptr<Inflater> make_fast_inflater(const std::string& library = kFastInflateLibrary);
std::unique_ptr<Inflater> make_zlib_inflater();
/// The faster one that there is.
std::unique_ptr<Inflater> make_inflater();

}  // namespace imgbuild::layers
