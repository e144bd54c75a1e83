#include "layers/decompress.hpp"

#include <imgbuild/error.hpp>

#include "layers/archive_library.hpp"
#include "layers/failure.hpp"
#include "layers/inflater.hpp"
#include "util/assert.hpp"

#include <archive.h>
#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kInputBytes = 256U << 10;
constexpr std::size_t kMagicBytes = 6;

// The compressed bytes, buffered; knows how many there were and guards against too much coming out of them.
class Input {
public:
    Input(util::Source& source, const ArchiveLimits& limits) : source_(source), limits_(limits), buffer_(kInputBytes) {}

    /// What is buffered; reads on if nothing is. Empty at the end.
    std::span<const std::byte> peek() {
        if (at_ == end_ && !ended_) {
            at_ = 0;
            end_ = source_.read(buffer_);
            ended_ = end_ == 0;
            read_ += end_;
        }
        return std::span(buffer_).subspan(at_, end_ - at_);
    }
    /// At least `wanted` bytes if there are so many. Only at the very beginning.
    std::span<const std::byte> head(std::size_t wanted) {
        while (end_ < wanted && !ended_) {
            const std::size_t n = source_.read(std::span(buffer_).subspan(end_));
            ended_ = n == 0;
            end_ += n;
            read_ += n;
        }
        return std::span(buffer_).first(end_);
    }
    void consume(std::size_t n) { at_ += n; }
    void produced(std::size_t n) {
        made_ += n;
        if (made_ > limits_.expansion_free && made_ / limits_.expansion > read_) {
            over_limit(
                fmt::format("compressed data of {} bytes expand beyond {} times their size", read_, limits_.expansion));
        }
    }

private:
    util::Source& source_;
    ArchiveLimits limits_;
    std::vector<std::byte> buffer_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    bool ended_ = false;
    std::uint64_t read_ = 0;
    std::uint64_t made_ = 0;
};

class PlainSource final : public util::Source {
public:
    PlainSource(std::unique_ptr<Input> input, util::Source& rest) : input_(std::move(input)), rest_(rest) {}

    std::size_t read(std::span<std::byte> into) override {
        if (!input_) return rest_.read(into);
        const auto head = input_->peek();
        const std::size_t n = std::min(head.size(), into.size());
        std::memcpy(into.data(), head.data(), n);
        input_->consume(n);
        // Once the head is out, the bytes need not go through our buffer.
        if (n == head.size()) input_.reset();
        return n;
    }

private:
    std::unique_ptr<Input> input_;
    util::Source& rest_;
};

class GzipSource final : public util::Source {
public:
    explicit GzipSource(std::unique_ptr<Input> input) : input_(std::move(input)), inflater_(make_inflater()) {}

    std::size_t read(std::span<std::byte> into) override {
        while (!ended_) {
            const auto in = input_->peek();
            if (between_ && !begin_member(in)) continue;
            const Inflated step = inflater_->inflate(in, into);
            input_->consume(step.consumed);
            input_->produced(step.produced);
            between_ = step.ended;
            // Whoever has all of the input may still hold some of the output.
            if (step.consumed == 0 && step.produced == 0 && !step.ended) damaged_data("gzip", "it ends in the middle");
            if (step.produced > 0) return step.produced;
        }
        return 0;
    }

private:
    // After a member: the end, zero padding (tapes, some registries' tools), or the next member.
    bool begin_member(std::span<const std::byte> in) {
        if (in.empty()) {
            ended_ = true;
            return false;
        }
        if (members_ > 0 && in.front() == std::byte{0}) {
            input_->consume(1);
            return false;
        }
        inflater_->begin_member();
        between_ = false;
        ++members_;
        return true;
    }

    std::unique_ptr<Input> input_;
    std::unique_ptr<Inflater> inflater_;
    bool between_ = true;
    bool ended_ = false;
    std::uint64_t members_ = 0;
};

class ZstdSource final : public util::Source {
public:
    explicit ZstdSource(std::unique_ptr<Input> input)
        : input_(std::move(input)), stream_(ZSTD_createDCtx(), ZSTD_freeDCtx) {
        if (!stream_) throw std::bad_alloc();
    }

    std::size_t read(std::span<std::byte> into) override {
        for (;;) {
            const auto in = input_->peek();
            if (in.empty() && at_frame_end_) return 0;
            // An exhausted input may still have output waiting inside the decoder, so it is asked even then.
            ZSTD_inBuffer from{.src = in.data(), .size = in.size(), .pos = 0};
            ZSTD_outBuffer to{.dst = into.data(), .size = into.size(), .pos = 0};
            const std::size_t left = ZSTD_decompressStream(stream_.get(), &to, &from);
            if (ZSTD_isError(left) != 0) damaged_data("zstd", ZSTD_getErrorName(left));
            input_->consume(from.pos);
            at_frame_end_ = left == 0;
            input_->produced(to.pos);
            if (to.pos > 0) return to.pos;
            if (in.empty() && !at_frame_end_) damaged_data("zstd", "it ends in the middle");
        }
    }

private:
    std::unique_ptr<Input> input_;
    std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> stream_;
    bool at_frame_end_ = true;
};

// bzip2 and xz, by libarchive's filters over its "raw" format.
class ArchiveFilterSource final : public util::Source {
public:
    ArchiveFilterSource(std::unique_ptr<Input> input, Compression kind)
        : input_(std::move(input)),
          library_(load_archive_library()),
          archive_(library_.read_new(), library_.read_free) {
        if (!archive_) throw std::bad_alloc();
        name_ = kind == Compression::bzip2 ? "bzip2" : "xz";
        check(kind == Compression::bzip2 ? library_.read_support_filter_bzip2(archive_.get())
                                         : library_.read_support_filter_xz(archive_.get()));
        check(library_.read_support_format_raw(archive_.get()));
        check(library_.read_support_format_empty(archive_.get()));
        check(library_.read_open(archive_.get(), this, nullptr, &ArchiveFilterSource::on_read, nullptr));
        archive_entry* entry = nullptr;
        const int result = library_.read_next_header(archive_.get(), &entry);
        ended_ = result == ARCHIVE_EOF;
        if (!ended_) check(result);
    }

    std::size_t read(std::span<std::byte> into) override {
        if (ended_) return 0;
        const la_ssize_t n = library_.read_data(archive_.get(), into.data(), into.size());
        if (n < 0) check(static_cast<int>(n));
        ended_ = n == 0;
        input_->produced(static_cast<std::size_t>(n));
        return static_cast<std::size_t>(n);
    }

private:
    void check(int result) {
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
        if (result == ARCHIVE_OK || result == ARCHIVE_WARN) return;
        const char* message = library_.error_string(archive_.get());
        damaged_data(name_, message != nullptr ? message : "it cannot be decoded");
    }

    static la_ssize_t on_read(archive*, void* self, const void** bytes) {
        auto* source = static_cast<ArchiveFilterSource*>(self);
        try {
            source->input_->consume(std::exchange(source->lent_, 0));
            const auto in = source->input_->peek();
            source->lent_ = in.size();
            *bytes = in.data();
            return static_cast<la_ssize_t>(in.size());
        } catch (...) {
            // Exceptions cannot cross C; check() throws it again.
            source->failure_ = std::current_exception();
            return -1;
        }
    }

    std::unique_ptr<Input> input_;
    ArchiveLibrary library_;
    std::unique_ptr<archive, int (*)(archive*)> archive_;
    const char* name_ = "";
    std::size_t lent_ = 0;
    bool ended_ = false;
    std::exception_ptr failure_;
};

bool begins(std::span<const std::byte> head, std::string_view magic) {
    return head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

// Frames 0x184D2A50…5F that hold no data of the stream; pzstd and seekable formats begin with one.
bool is_skippable_frame(std::span<const std::byte> head) {
    return head.size() >= 4 && (head[0] & std::byte{0xf0}) == std::byte{0x50} &&
           begins(head.subspan(1), "\x2a\x4d\x18");
}

std::unique_ptr<util::Source> open_as(Compression kind, std::unique_ptr<Input> input, util::Source& source) {
    switch (kind) {
        case Compression::none:
            return std::make_unique<PlainSource>(std::move(input), source);
        case Compression::gzip:
            return std::make_unique<GzipSource>(std::move(input));
        case Compression::zstd:
            return std::make_unique<ZstdSource>(std::move(input));
        case Compression::bzip2:
        case Compression::xz:
            return std::make_unique<ArchiveFilterSource>(std::move(input), kind);
    }
    std::unreachable();
}

}  // namespace

Compression detect_compression(std::span<const std::byte> head) {
    if (begins(head, "\x1f\x8b")) return Compression::gzip;
    if (begins(head, "\x28\xb5\x2f\xfd") || is_skippable_frame(head)) return Compression::zstd;
    if (begins(head, "BZh")) return Compression::bzip2;
    if (begins(head, std::string_view("\xfd"
                                      "7zXZ\0",
                                      6)))
        return Compression::xz;
    return Compression::none;
}

std::unique_ptr<util::Source> open_compressed(util::Source& compressed, const ArchiveLimits& limits) {
    auto input = std::make_unique<Input>(compressed, limits);
    const Compression kind = detect_compression(input->head(kMagicBytes));
    return open_as(kind, std::move(input), compressed);
}

std::unique_ptr<util::Source> open_layer_blob(util::Source& compressed, const ArchiveLimits& limits) {
    auto input = std::make_unique<Input>(compressed, limits);
    const Compression kind = detect_compression(input->head(kMagicBytes));
    // A plain tar whose first name begins with "BZh" is legal, so bzip2 is not refused by its magic: it is no tar.
    const bool known = kind == Compression::gzip || kind == Compression::zstd;
    return open_as(known ? kind : Compression::none, std::move(input), compressed);
}

}  // namespace imgbuild::layers
