// How much this machine still has to write to its disks. Private to layers/.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace imgbuild::layers {

/// Of the text of /proc/meminfo: what is dirty or being written, in bytes. Nothing if it does not say. Pure.
std::optional<std::uint64_t> unwritten_bytes(std::string_view meminfo);
/// The same, of this machine now. Nothing if it cannot be told.
std::optional<std::uint64_t> unwritten_bytes();

}  // namespace imgbuild::layers
