#include "layers/tree_marks.hpp"

#include "util/assert.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace imgbuild::layers {
namespace {

constexpr std::string_view kOverlay = "user.overlay.";
constexpr std::string_view kEscaped = "user.overlay.overlay.";
constexpr std::string_view kOurs = "user.imgbuild.";
constexpr std::string_view kHeld = "user.imgbuild.held.";

bool must_be_held(std::string_view name) {
    if (name.starts_with("security.")) return name != "security.capability";
    return name.starts_with("trusted.") || name.starts_with(kOurs);
}

// Exactly N numbers of 32 bits with one blank between them.
template <std::size_t N>
std::optional<std::array<std::uint32_t, N>> parse_numbers(std::string_view text) {
    const auto words = util::split(text, ' ');
    if (words.size() != N) return std::nullopt;
    std::array<std::uint32_t, N> out{};
    for (std::size_t i = 0; i < N; ++i) {
        const auto number = util::parse_number(words[i]);
        if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
        out[i] = static_cast<std::uint32_t>(*number);
    }
    return out;
}

}  // namespace

std::string stored_name(std::string_view name) {
    if (must_be_held(name)) return held_name(name);
    if (!name.starts_with(kOverlay)) return std::string(name);
    return std::string(kEscaped).append(name.substr(kOverlay.size()));
}

std::string held_name(std::string_view name) {
    return std::string(kHeld).append(name);
}

bool is_held(std::string_view stored) {
    return stored.starts_with(kHeld);
}

std::optional<std::string> true_name(std::string_view stored) {
    if (stored.starts_with(kEscaped)) return std::string(kOverlay).append(stored.substr(kEscaped.size()));
    if (is_held(stored) && stored.size() > kHeld.size()) return std::string(stored.substr(kHeld.size()));
    if (stored.starts_with(kOverlay) || stored.starts_with(kOurs)) return std::nullopt;
    return std::string(stored);
}

std::string device_mark(const Entry& entry) {
    IMGBUILD_ASSERT(entry.type == EntryType::char_device || entry.type == EntryType::block_device);
    const char type = entry.type == EntryType::char_device ? 'c' : 'b';
    return fmt::format("{} {} {}", type, entry.dev_major, entry.dev_minor);
}

bool apply_device_mark(std::string_view mark, Entry& entry) {
    if (!mark.starts_with("c ") && !mark.starts_with("b ")) return false;
    const auto numbers = parse_numbers<2>(mark.substr(2));
    if (!numbers) return false;
    entry.type = mark.front() == 'c' ? EntryType::char_device : EntryType::block_device;
    entry.size = 0;
    entry.dev_major = (*numbers)[0];
    entry.dev_minor = (*numbers)[1];
    return true;
}

std::string OwnerMark::text() const {
    return fmt::format("{} {} {} {}", uid, gid, inode_uid, inode_gid);
}

std::optional<OwnerMark> OwnerMark::parse(std::string_view text) {
    const auto numbers = parse_numbers<4>(text);
    if (!numbers) return std::nullopt;
    const auto& [uid, gid, inode_uid, inode_gid] = *numbers;
    return OwnerMark{.uid = uid, .gid = gid, .inode_uid = inode_uid, .inode_gid = inode_gid};
}

}  // namespace imgbuild::layers
