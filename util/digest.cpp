#include <imgbuild/digest.hpp>

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild {
namespace {

constexpr std::string_view kPrefix = "sha256:";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

}  // namespace

std::optional<Digest> Digest::parse(std::string_view text) {
    if (!text.starts_with(kPrefix)) return std::nullopt;
    text.remove_prefix(kPrefix.size());
    Bytes bytes{};
    if (text.size() != 2 * bytes.size()) return std::nullopt;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return Digest(bytes);
}

Digest Digest::require(std::string_view text, std::string_view what) {
    if (const auto digest = parse(text)) return *digest;
    throw CorruptData({.code = "corrupt.bad-digest",
                       .message = fmt::format("{} has no usable digest: {}", what, util::quote(text)),
                       .hint = "only sha256 digests with 64 lower-case hexadecimal digits are supported",
                       .where = {}});
}

std::string Digest::hex() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    out.reserve(2 * bytes_.size());
    for (const std::uint8_t byte : bytes_) {
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

std::string Digest::text() const {
    return std::string(kPrefix) + hex();
}

}  // namespace imgbuild
