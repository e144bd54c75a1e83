// What an archive reader reads from: the archive's bytes, and the contents of one file among them. Private to layers/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "layers/pax.hpp"
#include "util/bytes.hpp"

namespace imgbuild::layers {

/// Buffered for headers, straight through for contents. Throws Cancelled, and CorruptData ("corrupt.archive") for an
/// archive that ends too early.
class ArchiveInput {
public:
    ArchiveInput(util::Source& source, std::stop_token stop);

    std::size_t read(std::span<std::byte> into);
    /// Less than asked for only at the end of the archive.
    std::size_t read_full(std::span<std::byte> into);
    void require(std::span<std::byte> into);
    void skip(std::uint64_t n);
    /// Returns how many were passed: less than `n` if the archive ends before.
    std::uint64_t skip_up_to(std::uint64_t n);
    /// Reads the source to its end.
    void drain();

private:
    util::Source& source_;
    std::stop_token stop_;
    std::vector<std::byte> buffer_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
};

/// The contents of one file after the other: stored bytes, with zeros between the segments of a sparse one. Throws as
/// ArchiveInput.
class ArchiveContent final : public util::Source {
public:
    explicit ArchiveContent(ArchiveInput& input) : input_(input) {}

    /// `stored` bytes come next in the input, and after them `padding`.
    void begin(std::uint64_t stored, std::uint64_t padding);
    /// What has begun is sparse. Throws CorruptData if the segments are not what is stored.
    void begin_sparse(std::vector<tar::Segment> segments, std::uint64_t real_size);
    /// Takes bytes of the stored data that are not contents (the map of sparse format 1.0).
    void take_stored(std::span<std::byte> into);
    std::uint64_t stored() const { return stored_; }

    std::size_t read(std::span<std::byte> into) override;
    /// Passes what nobody read.
    void end();

private:
    std::size_t read_stored(std::span<std::byte> into);
    std::size_t read_sparse(std::span<std::byte> into);
    void check_segments() const;

    ArchiveInput& input_;
    std::vector<tar::Segment> segments_;
    std::size_t next_ = 0;
    std::uint64_t stored_ = 0;
    std::uint64_t padding_ = 0;
    std::uint64_t position_ = 0;
    std::uint64_t real_size_ = 0;
    bool sparse_ = false;
};

}  // namespace imgbuild::layers
