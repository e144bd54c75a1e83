#include "layers/inflater.hpp"

#include "layers/failure.hpp"

#include <dlfcn.h>
#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>

namespace imgbuild::layers {
namespace {

// Both libraries count in 32 bits and do not write to their input, which their interfaces only do not say.
template <class Number>
Number bounded(std::size_t size) {
    return static_cast<Number>(std::min<std::size_t>(size, std::numeric_limits<Number>::max()));
}

template <class Byte>
Byte* input_of(std::span<const std::byte> in) {
    return reinterpret_cast<Byte*>(const_cast<std::byte*>(in.data()));
}

class ZlibInflater final : public Inflater {
public:
    ZlibInflater() {
        constexpr int kGzipOnly = 16;
        if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
    }
    ~ZlibInflater() override { inflateEnd(&stream_); }
    ZlibInflater(const ZlibInflater&) = delete;
    ZlibInflater& operator=(const ZlibInflater&) = delete;

    void begin_member() override { inflateReset(&stream_); }

    Inflated inflate(std::span<const std::byte> in, std::span<std::byte> out) override {
        const auto given = bounded<uInt>(in.size());
        const auto room = bounded<uInt>(out.size());
        stream_.next_in = input_of<Bytef>(in);
        stream_.avail_in = given;
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = room;
        const int result = ::inflate(&stream_, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) throw std::bad_alloc();
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            damaged_data("gzip", stream_.msg != nullptr ? stream_.msg : "it cannot be decoded");
        }
        return {.consumed = given - stream_.avail_in,
                .produced = room - stream_.avail_out,
                .ended = result == Z_STREAM_END};
    }

private:
    z_stream stream_{};
};

struct FastLibrary {
    decltype(&isal_inflate_init) init;
    decltype(&isal_inflate_reset) reset;
    decltype(&isal_inflate) inflate;
};

std::optional<FastLibrary> load(const std::string& name) {
    // RTLD_LOCAL: a host program may have one of its own. Never closed, so that the functions stay.
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::nullopt;
    void* const init = ::dlsym(library, "isal_inflate_init");
    void* const reset = ::dlsym(library, "isal_inflate_reset");
    void* const inflate = ::dlsym(library, "isal_inflate");
    if (init == nullptr || reset == nullptr || inflate == nullptr) return std::nullopt;
    return FastLibrary{.init = reinterpret_cast<decltype(&isal_inflate_init)>(init),
                       .reset = reinterpret_cast<decltype(&isal_inflate_reset)>(reset),
                       .inflate = reinterpret_cast<decltype(&isal_inflate)>(inflate)};
}

const char* explain(int result) {
    switch (result) {
        case ISAL_INVALID_BLOCK:
        case ISAL_INVALID_SYMBOL:
        case ISAL_INVALID_LOOKBACK:
            return "a block makes no sense";
        case ISAL_INVALID_WRAPPER:
        case ISAL_UNSUPPORTED_METHOD:
            return "the header makes no sense";
        case ISAL_INCORRECT_CHECKSUM:
            return "the checksum or the length is wrong";
        default:
            return "it cannot be decoded";
    }
}

class FastInflater final : public Inflater {
public:
    explicit FastInflater(const FastLibrary& library)
        : library_(library), state_(std::make_unique_for_overwrite<inflate_state>()) {
        library_.init(state_.get());
    }

    void begin_member() override {
        library_.reset(state_.get());
        // The gzip header is read, and the checksum and length behind the data are checked.
        state_->crc_flag = ISAL_GZIP;
    }

    Inflated inflate(std::span<const std::byte> in, std::span<std::byte> out) override {
        const auto given = bounded<std::uint32_t>(in.size());
        const auto room = bounded<std::uint32_t>(out.size());
        state_->next_in = input_of<std::uint8_t>(in);
        state_->avail_in = given;
        state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
        state_->avail_out = room;
        const int result = library_.inflate(state_.get());
        if (result != ISAL_DECOMP_OK) damaged_data("gzip", explain(result));
        return {.consumed = given - state_->avail_in,
                .produced = room - state_->avail_out,
                .ended = state_->block_state == ISAL_BLOCK_FINISH};
    }

private:
    FastLibrary library_;
    std::unique_ptr<inflate_state> state_;
};

}  // namespace

std::unique_ptr<Inflater> make_fast_inflater(const std::string& library) {
    const auto loaded = load(library);
    if (!loaded) return nullptr;
    return std::make_unique<FastInflater>(*loaded);
}

std::unique_ptr<Inflater> make_zlib_inflater() {
    return std::make_unique<ZlibInflater>();
}

std::unique_ptr<Inflater> make_inflater() {
    if (auto fast = make_fast_inflater()) return fast;
    return make_zlib_inflater();
}

}  // namespace imgbuild::layers
