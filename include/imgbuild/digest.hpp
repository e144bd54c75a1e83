// Content addresses. Spec: image-spec descriptor.md §Digests.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild {

/// The sha256 of some bytes. The only algorithm that we make or accept; others are "registry.unsupported-digest".
class Digest {
public:
    using Bytes = std::array<std::uint8_t, 32>;

    /// All zero: the digest of nothing that exists. Useful only as a place to fill.
    Digest() = default;
    explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

    /// Reads "sha256:" and 64 lower-case hexadecimal digits; anything else is nothing.
    static std::optional<Digest> parse(std::string_view text);
    /// As parse(), but throws CorruptData that names `what` (for example "layer 2 of the manifest").
    static Digest require(std::string_view text, std::string_view what);

    /// "sha256:…"
    std::string text() const;
    /// The 64 hexadecimal digits alone, for file names.
    std::string hex() const;
    /// The first 12 hexadecimal digits, for people.
    std::string brief() const { return hex().substr(0, 12); }
    const Bytes& bytes() const { return bytes_; }

    friend auto operator<=>(const Digest&, const Digest&) = default;

private:
    Bytes bytes_{};
};

/// Three things that look alike and are never to be mixed up.
/// DiffId: of a layer's uncompressed tar. ChainId: of a stack of layers. Spec: image-spec config.md.
template <class Tag>
class TaggedDigest {
public:
    TaggedDigest() = default;
    explicit TaggedDigest(Digest digest) : digest_(digest) {}

    const Digest& digest() const { return digest_; }
    std::string text() const { return digest_.text(); }

    friend auto operator<=>(const TaggedDigest&, const TaggedDigest&) = default;

private:
    Digest digest_;
};

using DiffId = TaggedDigest<struct DiffIdTag>;
using ChainId = TaggedDigest<struct ChainIdTag>;

}  // namespace imgbuild
