#include "layers/unwritten.hpp"

#include <imgbuild/error.hpp>

#include "util/fd.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace imgbuild::layers {
namespace {

// A line is "Dirty:     1234 kB".
std::optional<std::uint64_t> field(std::string_view meminfo, std::string_view name) {
    const std::size_t at = meminfo.find(name);
    if (at == std::string_view::npos) return std::nullopt;
    std::string_view rest = meminfo.substr(at + name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    std::uint64_t kilobytes = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), kilobytes);
    if (error != std::errc() || !std::string_view(end, rest.data() + rest.size()).starts_with(" kB"))
        return std::nullopt;
    return kilobytes * 1024;
}

}  // namespace

std::optional<std::uint64_t> unwritten_bytes(std::string_view meminfo) {
    const auto dirty = field(meminfo, "\nDirty:");
    const auto writing = field(meminfo, "\nWriteback:");
    if (!dirty || !writing) return std::nullopt;
    return *dirty + *writing;
}

std::optional<std::uint64_t> unwritten_bytes() {
    constexpr std::size_t kLimit = 64U << 10;
    try {
        return unwritten_bytes(util::read_file("/proc/meminfo", kLimit));
    } catch (const IoError&) {
        return std::nullopt;
    }
}

}  // namespace imgbuild::layers
