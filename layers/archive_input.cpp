#include "layers/archive_input.hpp"

#include "layers/failure.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10;

}  // namespace

ArchiveInput::ArchiveInput(util::Source& source, std::stop_token stop)
    : source_(source), stop_(std::move(stop)), buffer_(kBufferBytes) {}

std::size_t ArchiveInput::read(std::span<std::byte> into) {
    if (at_ == end_) {
        check_stop(stop_);
        if (into.size() >= buffer_.size()) return source_.read(into);
        at_ = 0;
        end_ = source_.read(buffer_);
    }
    const std::size_t n = std::min(into.size(), end_ - at_);
    if (n > 0) std::memcpy(into.data(), buffer_.data() + at_, n);
    at_ += n;
    return n;
}

std::size_t ArchiveInput::read_full(std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const std::size_t n = read(into.subspan(done));
        if (n == 0) break;
        done += n;
    }
    return done;
}

void ArchiveInput::require(std::span<std::byte> into) {
    if (read_full(into) != into.size()) bad_archive("the archive ends in the middle of an entry");
}

void ArchiveInput::skip(std::uint64_t n) {
    if (skip_up_to(n) != n) bad_archive("the archive ends in the middle of an entry");
}

std::uint64_t ArchiveInput::skip_up_to(std::uint64_t n) {
    const std::uint64_t wanted = n;
    while (n > 0) {
        if (at_ == end_) {
            check_stop(stop_);
            at_ = 0;
            end_ = source_.read(buffer_);
            if (end_ == 0) return wanted - n;
        }
        const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(n, end_ - at_));
        at_ += step;
        n -= step;
    }
    return wanted;
}

void ArchiveInput::drain() {
    at_ = end_ = 0;
    do {
        check_stop(stop_);
    } while (source_.read(buffer_) > 0);
}

void ArchiveContent::begin(std::uint64_t stored, std::uint64_t padding) {
    segments_.clear();
    stored_ = stored;
    padding_ = padding;
    position_ = 0;
    real_size_ = stored;
    next_ = 0;
    sparse_ = false;
}

void ArchiveContent::begin_sparse(std::vector<tar::Segment> segments, std::uint64_t real_size) {
    segments_ = std::move(segments);
    real_size_ = real_size;
    sparse_ = true;
    check_segments();
}

void ArchiveContent::take_stored(std::span<std::byte> into) {
    if (into.size() > stored_) bad_archive("the map of a sparse file is longer than its data");
    input_.require(into);
    stored_ -= into.size();
}

std::size_t ArchiveContent::read(std::span<std::byte> into) {
    const std::uint64_t left = real_size_ - position_;
    if (left == 0) return 0;
    if (left < into.size()) into = into.first(static_cast<std::size_t>(left));
    const std::size_t n = sparse_ ? read_sparse(into) : read_stored(into);
    position_ += n;
    return n;
}

void ArchiveContent::end() {
    input_.skip(stored_);
    // Some writers (umoci) end an archive with the contents of its last file; other readers let that pass as well.
    static_cast<void>(input_.skip_up_to(padding_));
    begin(0, 0);
}

std::size_t ArchiveContent::read_stored(std::span<std::byte> into) {
    const std::size_t n = input_.read(into);
    if (n == 0) bad_archive("the archive ends in the middle of a file");
    stored_ -= n;
    return n;
}

std::size_t ArchiveContent::read_sparse(std::span<std::byte> into) {
    while (next_ < segments_.size() && segments_[next_].offset + segments_[next_].size <= position_) ++next_;
    const tar::Segment* segment = next_ < segments_.size() ? &segments_[next_] : nullptr;
    if (segment == nullptr || position_ < segment->offset) {
        const std::uint64_t hole_end = segment == nullptr ? real_size_ : segment->offset;
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), hole_end - position_));
        std::memset(into.data(), 0, n);
        return n;
    }
    const std::uint64_t left = segment->offset + segment->size - position_;
    return read_stored(into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left))));
}

void ArchiveContent::check_segments() const {
    std::uint64_t end = 0;
    std::uint64_t sum = 0;
    for (const tar::Segment& segment : segments_) {
        if (segment.offset < end || segment.offset > real_size_ || segment.size > real_size_ - segment.offset) {
            bad_archive("the segments of a sparse file overlap or lie outside of it");
        }
        end = segment.offset + segment.size;
        sum += segment.size;
    }
    if (sum != stored_) bad_archive("the segments of a sparse file do not make up its data");
}

}  // namespace imgbuild::layers
