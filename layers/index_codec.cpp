#include "layers/index_codec.hpp"

#include <imgbuild/error.hpp>

#include "util/bytes.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr std::string_view kMagic = "imgnames";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kChecksumBytes = 32;

constexpr unsigned kTypeMask = 15;
constexpr unsigned kOpaque = 16;
constexpr unsigned kImplicit = 32;
constexpr unsigned kOverridden = 64;
constexpr unsigned kExternal = 128;

bool has_size(EntryType type) {
    return type == EntryType::file || type == EntryType::hardlink;
}
bool has_target(EntryType type) {
    return type == EntryType::symlink || type == EntryType::hardlink;
}
bool has_device(EntryType type) {
    return type == EntryType::char_device || type == EntryType::block_device;
}

unsigned type_and_flags(const Entry& entry) {
    return std::to_underlying(entry.type) | (entry.opaque ? kOpaque : 0) | (entry.implicit ? kImplicit : 0) |
           (entry.overridden ? kOverridden : 0) | (entry.external ? kExternal : 0);
}

[[noreturn]] void damaged(const char* how) {
    throw CorruptData(
        {.code = "corrupt.names", .message = std::string("a name index is damaged: ") + how, .hint = {}, .where = {}});
}

std::string checksum(std::string_view bytes) {
    const Digest digest = util::Sha256::of(bytes);
    std::string out(kChecksumBytes, '\0');
    std::memcpy(out.data(), digest.bytes().data(), kChecksumBytes);
    return out;
}

}  // namespace

IndexEncoder::IndexEncoder() : out_(kMagic) {
    number(kVersion);
}

void IndexEncoder::number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>((value & 0x7f) | 0x80);
    out_ += static_cast<char>(value);
}

void IndexEncoder::signed_number(std::int64_t value) {
    number((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

void IndexEncoder::bytes(std::string_view value) {
    number(value.size());
    out_ += value;
}

void IndexEncoder::entry(const Entry& entry, std::string_view previous_path) {
    const std::size_t common = std::min(previous_path.size(), entry.path.size());
    const auto differs = std::mismatch(entry.path.begin(), entry.path.begin() + static_cast<std::ptrdiff_t>(common),
                                       previous_path.begin());
    const auto shared = static_cast<std::size_t>(differs.first - entry.path.begin());
    number(shared);
    bytes(std::string_view(entry.path).substr(shared));
    number(type_and_flags(entry));
    number(entry.mode);
    number(entry.uid);
    number(entry.gid);
    signed_number(entry.mtime);
    if (has_size(entry.type)) number(entry.size);
    if (has_target(entry.type)) bytes(entry.link_target);
    if (has_device(entry.type)) {
        number(entry.dev_major);
        number(entry.dev_minor);
    }
    number(entry.xattrs.size());
    for (const auto& [name, value] : entry.xattrs) {
        bytes(name);
        bytes(value);
    }
}

void IndexEncoder::text(const std::optional<std::string>& value) {
    number(value ? 1 : 0);
    if (value) bytes(*value);
}

std::string IndexEncoder::finish() {
    out_ += checksum(out_);
    return std::move(out_);
}

IndexDecoder::IndexDecoder(std::string_view bytes) : rest_(bytes) {
    if (!rest_.starts_with(kMagic) || rest_.size() < kMagic.size() + 1 + kChecksumBytes)
        damaged("it does not begin like one");
    const std::string_view sum = rest_.substr(rest_.size() - kChecksumBytes);
    rest_.remove_suffix(kChecksumBytes);
    if (checksum(rest_) != sum) damaged("its checksum differs");
    rest_.remove_prefix(kMagic.size());
    if (number() != kVersion) damaged("its version is unknown");
}

unsigned char IndexDecoder::byte() {
    if (rest_.empty()) damaged("it is too short");
    const auto out = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return out;
}

std::uint64_t IndexDecoder::number() {
    std::uint64_t out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const std::uint64_t next = byte();
        const std::uint64_t bits = next & 0x7f;
        if (shift == 63 && bits > 1) damaged("a number is too large");
        out |= bits << shift;
        if ((next & 0x80) == 0) {
            if (next == 0 && shift > 0) damaged("a number is not in its shortest form");
            return out;
        }
    }
    damaged("a number is too long");
}

std::uint32_t IndexDecoder::small_number() {
    const std::uint64_t value = number();
    if (value > std::numeric_limits<std::uint32_t>::max()) damaged("a number is too large");
    return static_cast<std::uint32_t>(value);
}

std::int64_t IndexDecoder::signed_number() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

std::string_view IndexDecoder::bytes() {
    const std::uint64_t size = number();
    if (size > rest_.size()) damaged("it is too short");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
}

Entry IndexDecoder::entry(std::string_view previous_path) {
    Entry out;
    const std::uint64_t shared = number();
    if (shared > previous_path.size()) damaged("a path shares too much with the one before");
    out.path = std::string(previous_path.substr(0, shared));
    out.path += bytes();
    const std::uint64_t bits = number();
    if (bits > 255 || (bits & kTypeMask) > std::to_underlying(EntryType::whiteout)) damaged("a type is unknown");
    out.type = static_cast<EntryType>(bits & kTypeMask);
    out.opaque = (bits & kOpaque) != 0;
    out.implicit = (bits & kImplicit) != 0;
    out.overridden = (bits & kOverridden) != 0;
    out.external = (bits & kExternal) != 0;
    out.mode = small_number();
    if (out.mode > 07777) damaged("a mode is too large");
    out.uid = small_number();
    out.gid = small_number();
    out.mtime = signed_number();
    if (has_size(out.type)) out.size = number();
    if (has_target(out.type)) out.link_target = bytes();
    if (has_device(out.type)) {
        out.dev_major = small_number();
        out.dev_minor = small_number();
    }
    for (std::uint64_t left = number(); left > 0; --left) {
        const std::string_view name = bytes();
        if (!out.xattrs.empty() && out.xattrs.rbegin()->first >= name) damaged("attributes are not in order");
        out.xattrs.emplace_hint(out.xattrs.end(), std::string(name), std::string(bytes()));
    }
    return out;
}

std::optional<std::string> IndexDecoder::text() {
    switch (number()) {
        case 0:
            return std::nullopt;
        case 1:
            return std::string(bytes());
        default:
            damaged("a text is neither there nor not");
    }
}

void IndexDecoder::finish() const {
    if (!rest_.empty()) damaged("something follows its end");
}

}  // namespace imgbuild::layers
