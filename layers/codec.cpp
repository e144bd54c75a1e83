#include "layers/codec.hpp"

#include <imgbuild/error.hpp>

#include "layers/noise.hpp"
#include "util/assert.hpp"

#include <fmt/format.h>
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace imgbuild::layers {
namespace {

// Of the tar of a distribution, one core: level 1 makes 0.367 of it at 145–179 MB/s, 4 0.347 at 92–95, 6 0.336 at 62, 9
// 0.333 at 12–17 (docs/performance.md). zlib makes 0.340 at its level 6.
constexpr int kGzipLevel = 4;
constexpr int kZstdLevel = 3;
constexpr int kMaxGzipLevel = 12;
constexpr int kMaxZstdLevel = 19;

int level_of(const Codec& codec) {
    if (codec.level != 0) return codec.level;
    return codec.kind == Codec::Kind::gzip ? kGzipLevel : kZstdLevel;
}

void put_little_endian(std::byte* at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

// The ten bytes are written here, since libdeflate's depend on its version and level (extra flags).
constexpr std::array<unsigned char, 10> kGzipHeader = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
constexpr std::size_t kGzipTrailer = 8;

using Compressor = std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)>;

Compressor make_compressor(int level) {
    Compressor out(libdeflate_alloc_compressor(level), libdeflate_free_compressor);
    if (!out) throw std::bad_alloc();
    return out;
}

void add_member(int level, std::span<const std::byte> content, std::vector<std::byte>& out) {
    const Compressor compressor = make_compressor(level);
    const std::size_t bound = libdeflate_deflate_compress_bound(compressor.get(), content.size());
    const std::size_t begin = out.size();
    out.resize(begin + kGzipHeader.size() + bound + kGzipTrailer);
    std::byte* at = std::ranges::copy(std::as_bytes(std::span(kGzipHeader)), out.data() + begin).out;
    const std::size_t n = libdeflate_deflate_compress(compressor.get(), content.data(), content.size(), at, bound);
    IMGBUILD_ASSERT(n > 0);
    at += n;
    put_little_endian(at, libdeflate_crc32(0, content.data(), content.size()));
    put_little_endian(at + 4, static_cast<std::uint32_t>(content.size()));
    out.resize(static_cast<std::size_t>(at - out.data()) + kGzipTrailer);
}

// Noise is stored in members of its own (layers/noise.hpp).
std::vector<std::byte> compress_gzip(int level, std::span<const std::byte> block) {
    std::vector<std::byte> out;
    if (block.empty()) add_member(level, block, out);
    std::size_t at = 0;
    for (const Run& run : find_noise(block)) {
        add_member(run.is_noise ? 0 : level, block.subspan(at, run.size), out);
        at += run.size;
    }
    return out;
}

std::vector<std::byte> compress_zstd(int level, std::span<const std::byte> block) {
    std::vector<std::byte> out(ZSTD_compressBound(block.size()));
    const std::size_t n = ZSTD_compress(out.data(), out.size(), block.data(), block.size(), level);
    if (ZSTD_isError(n) != 0) throw std::bad_alloc();  // with room for the bound, nothing else can fail
    out.resize(n);
    return out;
}

}  // namespace

std::string Codec::codec_id() const {
    switch (kind) {
        case Kind::none:
            return "none";
        case Kind::gzip:
            return fmt::format("gzip/libdeflate-{}/{}/{}/noise1", LIBDEFLATE_VERSION_STRING, level_of(*this), kCutRule);
        case Kind::zstd:
            return fmt::format("zstd/libzstd-{}/{}/{}", ZSTD_versionString(), level_of(*this), kCutRule);
    }
    std::unreachable();
}

std::string_view Codec::media_type() const {
    switch (kind) {
        case Kind::none:
            return "application/vnd.oci.image.layer.v1.tar";
        case Kind::gzip:
            return "application/vnd.oci.image.layer.v1.tar+gzip";
        case Kind::zstd:
            return "application/vnd.oci.image.layer.v1.tar+zstd";
    }
    std::unreachable();
}

void Codec::check() const {
    const int max = kind == Kind::gzip ? kMaxGzipLevel : (kind == Kind::zstd ? kMaxZstdLevel : 0);
    if (level >= 0 && level <= max) return;
    throw UsageError({.code = "usage.bad-compression-level",
                      .message = fmt::format("compression level {} is out of range", level),
                      .hint = max == 0 ? "without compression there is no level" : fmt::format("use 1 to {}", max),
                      .where = {}});
}

std::vector<std::byte> compress_block(const Codec& codec, std::span<const std::byte> block) {
    switch (codec.kind) {
        case Codec::Kind::none:
            return {block.begin(), block.end()};
        case Codec::Kind::gzip:
            return compress_gzip(level_of(codec), block);
        case Codec::Kind::zstd:
            return compress_zstd(level_of(codec), block);
    }
    std::unreachable();
}

struct BlockCompressor::Packed {
    std::vector<std::byte> bytes;
    /// Of what went in; empty if nobody remembers blocks.
    BlockPrint print;
};

BlockCompressor::Packed BlockCompressor::compress(const Codec& codec, BlockReuse* reuse,
                                                  std::span<const std::byte> block) {
    if (reuse == nullptr) return {.bytes = compress_block(codec, block), .print = {}};
    const BlockPrint print = print_of(block);
    if (auto known = reuse->find(print, block)) return {.bytes = std::move(*known), .print = print};
    return {.bytes = compress_block(codec, block), .print = print};
}

void BlockCompressor::write(const Packed& packed) {
    out_.write(packed.bytes);
    if (reuse_ != nullptr) reuse_->note(packed.print, packed.bytes);
}

// Blocks in the order of the file. A thread takes the first that nobody works on; the caller's thread writes the first
// of all once it is done.
class BlockCompressor::Pool {
public:
    Pool(Codec codec, BlockReuse* reuse, unsigned threads) : codec_(codec), reuse_(reuse), room_(threads + 2) {
        for (unsigned i = 0; i < threads; ++i) {
            threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
        }
    }

    bool full() {
        const std::lock_guard lock(mutex_);
        return jobs_.size() >= room_;
    }
    bool empty() {
        const std::lock_guard lock(mutex_);
        return jobs_.empty();
    }
    void put(BlockCutter::Block block) {
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back({.block = std::move(block)});
        }
        changed_.notify_all();
    }
    /// Waits for the oldest block. Precondition: there is one.
    Packed take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return jobs_.front().state == Job::State::done; });
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        if (job.failure) std::rethrow_exception(job.failure);
        return std::move(job.packed);
    }

private:
    struct Job {
        enum class State { waiting, running, done };
        State state = State::waiting;
        BlockCutter::Block block;
        Packed packed;
        std::exception_ptr failure;
    };

    Job* next_waiting() {
        for (Job& job : jobs_) {
            if (job.state == Job::State::waiting) return &job;
        }
        return nullptr;
    }

    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        for (;;) {
            if (!changed_.wait(lock, stop, [&] { return next_waiting() != nullptr; })) return;
            // The deque keeps elements where they are while others come and go at its ends, and a running job is
            // not taken away.
            Job* job = next_waiting();
            job->state = Job::State::running;
            const BlockCutter::Block block = std::move(job->block);
            lock.unlock();
            Packed out;
            std::exception_ptr failure;
            try {
                out = compress(codec_, reuse_, block);
            } catch (...) {
                failure = std::current_exception();
            }
            lock.lock();
            job->packed = std::move(out);
            job->failure = failure;
            job->state = Job::State::done;
            changed_.notify_all();
        }
    }

    Codec codec_;
    BlockReuse* reuse_;
    std::size_t room_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Job> jobs_;
    std::vector<std::jthread> threads_;  // last: they end before the rest goes
};

BlockCompressor::BlockCompressor(Codec codec, util::Sink& out, unsigned threads, BlockReuse* reuse)
    : codec_(codec), out_(out), reuse_(codec.kind == Codec::Kind::none ? nullptr : reuse) {
    codec_.check();
    if (threads > 1 && codec.kind != Codec::Kind::none) pool_ = std::make_unique<Pool>(codec_, reuse_, threads);
}

BlockCompressor::~BlockCompressor() = default;

void BlockCompressor::add(BlockCutter::Block block) {
    if (codec_.kind == Codec::Kind::none) return out_.write(block);
    if (!pool_) return write(compress(codec_, reuse_, block));
    if (pool_->full()) write(pool_->take());
    pool_->put(std::move(block));
}

void BlockCompressor::finish() {
    while (pool_ && !pool_->empty()) write(pool_->take());
}

}  // namespace imgbuild::layers
