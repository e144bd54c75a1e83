#include "registry/copy_blob.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace imgbuild::registry {

namespace {

// False, and nothing happened: somebody has to read the bytes.
bool copy_unread(const oci::Descriptor& blob, const util::Source& from, util::Sink& into, const std::string& what,
                 const std::stop_token& stop) {
    constexpr std::uint64_t kAtOnce = 32U << 20;
    const auto proof = from.proof();
    if (!proof || proof->file < 0) return false;
    std::uint64_t done = 0;
    while (done < blob.size) {
        if (stop.stop_requested()) throw Cancelled();
        const auto taken = into.take_file(proof->file, std::min(kAtOnce, blob.size - done));
        const bool is_stuck = taken.value_or(0) == 0;
        // Some file systems say that there is nothing when they mean that they cannot.
        if (is_stuck && done == 0) return false;
        if (is_stuck) {
            throw CorruptData(what, fmt::format("{} bytes", blob.size), fmt::format("{} bytes", done));
        }
        done += *taken;
    }
    return true;
}

}  // namespace

void copy_blob(const oci::Descriptor& blob, util::Source& from, util::Sink& into, const std::string& what,
               const std::stop_token& stop) {
    constexpr std::size_t kBufferBytes = 256U << 10;
    util::VerifyingSource verified(from, blob.digest, blob.size, what);
    if (copy_unread(blob, verified, into, what, stop)) return;
    std::vector<std::byte> buffer(kBufferBytes);
    while (const std::size_t n = verified.read(buffer)) {
        if (stop.stop_requested()) throw Cancelled();
        into.write(std::span(buffer).first(n));
    }
}

}  // namespace imgbuild::registry
