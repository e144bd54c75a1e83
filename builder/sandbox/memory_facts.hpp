// How much memory is there for commands: what the machine has, and what the control groups around us allow.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace imgbuild::sandbox {

/// Bytes.
struct MemoryFacts {
    /// What the kernel believes can be had without swapping (MemAvailable). Nothing: it does not say.
    std::optional<std::uint64_t> available;
    /// What is left below the tightest limit of our control group and those above it, version 1 or 2. What a group
    /// holds as cache and has not used lately counts as left. Nothing: there is no limit.
    std::optional<std::uint64_t> group_left;

    friend bool operator==(const MemoryFacts&, const MemoryFacts&) = default;
};

/// The contents of a file of /proc or /sys, or nothing.
using ReadSystemFile = std::function<std::optional<std::string>(const std::string& path)>;

/// `read` is asked for absolute paths. Pure but for that; what cannot be read or understood is as if it were not there.
MemoryFacts find_memory(const ReadSystemFile& read);
/// Of this machine and process, now.
MemoryFacts find_memory();

/// What commands can have: the smaller of the two, or all there is if neither is known.
std::uint64_t free_memory(const MemoryFacts& facts);

}  // namespace imgbuild::sandbox
