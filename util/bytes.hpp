// Streams of bytes. A Source yields, a Sink takes; hashing, counting and limiting are wrappers, so that every byte
// is read once. Single-threaded objects: one user at a time.
#pragma once

#include <imgbuild/digest.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace imgbuild::util {

/// What a source answers for: that reading it from its beginning to its end yields just this content, or throws.
struct Proof {
    Digest digest;
    std::uint64_t size = 0;
    /// A regular file at whose position the content stands, checked before, so that it need not be read here to be
    /// copied; it belongs to the source. -1: none.
    int file = -1;
};

class Source {
public:
    virtual ~Source() = default;
    /// Fills a prefix of `into` (not empty) and returns its length; 0 means the end, now and forever after.
    virtual std::size_t read(std::span<std::byte> into) = 0;
    /// Nothing, if whoever needs to know has to look himself.
    virtual std::optional<Proof> proof() const { return std::nullopt; }
};

class Sink {
public:
    virtual ~Sink() = default;
    /// Takes all of `bytes` or throws.
    virtual void write(std::span<const std::byte> bytes) = 0;
    /// Takes up to `most` (not 0) bytes from the position of a regular file, without their passing through this
    /// process, and returns how many; 0 at its end. Nothing, if that cannot be done: then no byte was taken.
    virtual std::optional<std::uint64_t> take_file(int file, std::uint64_t most);
};

std::span<const std::byte> as_bytes(std::string_view text);

/// Reads a descriptor that somebody else owns.
class FdSource final : public Source {
public:
    FdSource(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
    std::size_t read(std::span<std::byte> into) override;

private:
    int fd_;
    std::string name_;
};

/// Reads a regular file that somebody else has open, from where it is, and expects `size` bytes: a read that ends there
/// and gives less than was asked for was the last, so that the end costs no call of its own.
class RegularFileSource final : public Source {
public:
    RegularFileSource(int fd, std::string name, std::uint64_t size) : file_(fd, std::move(name)), left_(size) {}
    std::size_t read(std::span<std::byte> into) override;

private:
    FdSource file_;
    std::uint64_t left_;
    bool ended_ = false;
};

/// Writes to a descriptor that somebody else owns.
class FdSink final : public Sink {
public:
    FdSink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
    void write(std::span<const std::byte> bytes) override;
    std::optional<std::uint64_t> take_file(int file, std::uint64_t most) override;

private:
    int fd_;
    std::string name_;
};

/// Reads memory that somebody else owns.
class MemorySource final : public Source {
public:
    explicit MemorySource(std::string_view text) : rest_(text) {}
    std::size_t read(std::span<std::byte> into) override;

private:
    std::string_view rest_;
};

/// Collects into a string.
class StringSink final : public Sink {
public:
    void write(std::span<const std::byte> bytes) override;
    const std::string& text() const { return text_; }
    std::string take() { return std::move(text_); }

private:
    std::string text_;
};

/// Takes everything and keeps nothing.
class NullSink final : public Sink {
public:
    void write(std::span<const std::byte>) override {}
};

/// An incremental sha256 (OpenSSL). Copying continues from the same state.
class Sha256 {
public:
    Sha256();
    Sha256(const Sha256& other);
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256 other) noexcept;
    ~Sha256();

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text) { update(as_bytes(text)); }
    /// The digest of what came so far; the object can go on afterwards.
    Digest digest() const;

    static Digest of(std::string_view text);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Passes bytes on (to nobody if `next` is null) and knows their digest and number.
class HashingSink final : public Sink {
public:
    explicit HashingSink(Sink* next = nullptr) : next_(next) {}
    void write(std::span<const std::byte> bytes) override;
    Digest digest() const { return hash_.digest(); }
    std::uint64_t size() const { return size_; }

private:
    Sink* next_;
    Sha256 hash_;
    std::uint64_t size_ = 0;
};

/// Passes bytes on and throws CorruptData at the first byte beyond `size`, or at the end if they are fewer or their
/// digest differs. Everything from outside or from the store is read through one of these. Bytes that `inner` proves to
/// be what is expected are only counted.
class VerifyingSource final : public Source {
public:
    /// `what` names the thing in errors, for example "blob sha256:… of 'a/b:c'". `size` in bytes, if it is known.
    VerifyingSource(Source& inner, Digest expected, std::optional<std::uint64_t> size, std::string what);
    std::size_t read(std::span<std::byte> into) override;
    std::optional<Proof> proof() const override;

private:
    Source& inner_;
    Digest expected_;
    std::optional<std::uint64_t> size_;
    std::string what_;
    /// What `inner` proves, if that is what is expected.
    std::optional<Proof> proven_;
    Sha256 hash_;
    std::uint64_t seen_ = 0;
    bool ended_ = false;
};

/// Passes bytes on and throws Error (`code`) at the first byte beyond `limit`.
class LimitedSource final : public Source {
public:
    LimitedSource(Source& inner, std::uint64_t limit, std::string code, std::string what);
    std::size_t read(std::span<std::byte> into) override;

private:
    Source& inner_;
    std::uint64_t left_;
    std::uint64_t limit_;
    std::string code_;
    std::string what_;
};

/// Moves everything; returns the number of bytes.
std::uint64_t copy(Source& from, Sink& to);
/// Everything as a string; throws CorruptData ("corrupt.too-large") beyond `limit` bytes.
std::string read_all(Source& from, std::size_t limit, std::string_view what);

}  // namespace imgbuild::util
