#include "util/bytes.hpp"

#include <imgbuild/error.hpp>

#include "util/assert.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

namespace imgbuild::util {

std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::size_t FdSource::read(std::span<std::byte> into) {
    for (;;) {
        const ssize_t n = ::read(fd_, into.data(), into.size());
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) throw IoError("read", name_, errno);
    }
}

std::size_t RegularFileSource::read(std::span<std::byte> into) {
    if (ended_) return 0;
    const std::size_t n = file_.read(into);
    ended_ = n == 0 || (n == left_ && n < into.size());
    left_ -= std::min<std::uint64_t>(n, left_);
    return n;
}

std::optional<std::uint64_t> Sink::take_file(int, std::uint64_t) {
    return std::nullopt;
}

void FdSink::write(std::span<const std::byte> bytes) {
    write_all(fd_, bytes, name_);
}

// Into pipes, sockets and files opened for appending, and between some pairs of file systems, the kernel does not copy.
std::optional<std::uint64_t> FdSink::take_file(int file, std::uint64_t most) {
    for (;;) {
        const ssize_t n = ::copy_file_range(file, nullptr, fd_, nullptr, static_cast<std::size_t>(most), 0);
        if (n >= 0) return static_cast<std::uint64_t>(n);
        if (errno == EINTR) continue;
        if (errno == EINVAL || errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS || errno == EBADF)
            return std::nullopt;
        throw IoError("write", name_, errno);
    }
}

std::size_t MemorySource::read(std::span<std::byte> into) {
    const std::size_t n = std::min(into.size(), rest_.size());
    std::memcpy(into.data(), rest_.data(), n);
    rest_.remove_prefix(n);
    return n;
}

void StringSink::write(std::span<const std::byte> bytes) {
    const std::size_t old = text_.size();
    text_.resize(old + bytes.size());
    if (!bytes.empty()) std::memcpy(text_.data() + old, bytes.data(), bytes.size());
}

// OpenSSL's contexts only fail for want of memory, and that is not ours to handle.
struct Sha256::State {
    State() : context(EVP_MD_CTX_new()) {
        if (context == nullptr) throw std::bad_alloc();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_MD_CTX_free(context); }

    EVP_MD_CTX* context;
};

namespace {

// Fetched once: a look-up by name for every small file would cost more than its hash.
const EVP_MD* sha256() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (algorithm == nullptr) throw std::bad_alloc();
    return algorithm;
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
    IMGBUILD_ASSERT(EVP_DigestInit_ex(state_->context, sha256(), nullptr) == 1);
}

Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>()) {
    IMGBUILD_ASSERT(EVP_MD_CTX_copy_ex(state_->context, other.state_->context) == 1);
}

Sha256::Sha256(Sha256&&) noexcept = default;

Sha256& Sha256::operator=(Sha256 other) noexcept {
    state_.swap(other.state_);
    return *this;
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
    IMGBUILD_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::digest() const {
    const Sha256 finished(*this);
    Digest::Bytes bytes{};
    unsigned int length = 0;
    IMGBUILD_ASSERT(EVP_DigestFinal_ex(finished.state_->context, bytes.data(), &length) == 1);
    IMGBUILD_ASSERT(length == bytes.size());
    return Digest(bytes);
}

Digest Sha256::of(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return hash.digest();
}

void HashingSink::write(std::span<const std::byte> bytes) {
    hash_.update(bytes);
    size_ += bytes.size();
    if (next_ != nullptr) next_->write(bytes);
}

VerifyingSource::VerifyingSource(Source& inner, Digest expected, std::optional<std::uint64_t> size, std::string what)
    : inner_(inner), expected_(expected), size_(size), what_(std::move(what)), proven_(inner.proof()) {
    if (proven_ && (proven_->digest != expected_ || (size_ && proven_->size != *size_))) proven_.reset();
}

std::optional<Proof> VerifyingSource::proof() const {
    if (proven_) return proven_;
    if (size_) return Proof{.digest = expected_, .size = *size_};
    return std::nullopt;
}

std::size_t VerifyingSource::read(std::span<std::byte> into) {
    if (ended_) return 0;
    const std::size_t n = inner_.read(into);
    seen_ += n;
    if (size_ && seen_ > *size_) {
        throw CorruptData(what_, fmt::format("{} bytes", *size_), "more");
    }
    if (n > 0) {
        if (!proven_) hash_.update(into.first(n));
        return n;
    }
    ended_ = true;
    if (size_ && seen_ < *size_) {
        throw CorruptData(what_, fmt::format("{} bytes", *size_), fmt::format("{} bytes", seen_));
    }
    if (proven_) return 0;
    if (const Digest actual = hash_.digest(); actual != expected_) {
        throw CorruptData(what_, expected_.text(), actual.text());
    }
    return 0;
}

LimitedSource::LimitedSource(Source& inner, std::uint64_t limit, std::string code, std::string what)
    : inner_(inner), left_(limit), limit_(limit), code_(std::move(code)), what_(std::move(what)) {}

std::size_t LimitedSource::read(std::span<std::byte> into) {
    const std::size_t n = inner_.read(into);
    if (n > left_) {
        throw CorruptData({.code = code_,
                           .message = fmt::format("{} is larger than {}", what_, human_size(limit_)),
                           .hint = {},
                           .where = {}});
    }
    left_ -= n;
    return n;
}

std::uint64_t copy(Source& from, Sink& to) {
    constexpr std::size_t kChunk = 128U << 10;
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kChunk);
    std::uint64_t total = 0;
    while (const std::size_t n = from.read({buffer.get(), kChunk})) {
        to.write({buffer.get(), n});
        total += n;
    }
    return total;
}

std::string read_all(Source& from, std::size_t limit, std::string_view what) {
    LimitedSource limited(from, limit, "corrupt.too-large", std::string(what));
    StringSink sink;
    copy(limited, sink);
    return sink.take();
}

}  // namespace imgbuild::util
