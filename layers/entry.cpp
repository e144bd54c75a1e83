#include "layers/entry.hpp"

#include "util/assert.hpp"

#include <algorithm>

namespace imgbuild::layers {

int compare_paths(std::string_view a, std::string_view b) {
    const std::size_t common = std::min(a.size(), b.size());
    const auto [at, bt] = std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common), b.begin());
    if (at == a.begin() + static_cast<std::ptrdiff_t>(common)) {
        return a.size() < b.size() ? -1 : (a.size() > b.size() ? 1 : 0);
    }
    // "/" ends a component, and a component that ends comes before one that goes on.
    if (*at == '/') return -1;
    if (*bt == '/') return 1;
    return static_cast<unsigned char>(*at) < static_cast<unsigned char>(*bt) ? -1 : 1;
}

std::string_view parent_path(std::string_view path) {
    IMGBUILD_ASSERT(!path.empty());
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view base_name(std::string_view path) {
    IMGBUILD_ASSERT(!path.empty());
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string join_path(std::string_view directory, std::string_view name) {
    if (directory.empty()) return std::string(name);
    std::string out;
    out.reserve(directory.size() + 1 + name.size());
    out += directory;
    out += '/';
    out += name;
    return out;
}

bool is_inside(std::string_view path, std::string_view directory) {
    if (directory.empty()) return !path.empty();
    return path.size() > directory.size() && path[directory.size()] == '/' && path.starts_with(directory);
}

void normalise_capabilities(util::Xattrs& xattrs) {
    // struct vfs_cap_data: magic and flags (little-endian, revision in the top byte), then pairs of 32 bits (permitted
    // and inheritable): one in revision 1, two in 2 and 3, which ends with the id of the namespace's root.
    constexpr std::size_t kSizeV1 = 12;
    constexpr std::size_t kSizeV2 = 20;
    constexpr std::size_t kSizeV3 = 24;
    constexpr std::size_t kRevisionByte = 3;
    const auto found = xattrs.find("security.capability");
    if (found == xattrs.end()) return;
    std::string& value = found->second;
    const bool old = value.size() == kSizeV1 && value[kRevisionByte] == '\x01';
    if (!old && (value.size() != kSizeV3 || value[kRevisionByte] != '\x03')) return;
    value.resize(kSizeV2);
    value[kRevisionByte] = '\x02';
}

}  // namespace imgbuild::layers
