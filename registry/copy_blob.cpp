#include "registry/copy_blob.hpp"

#include <imgbuild/error.hpp>

#include <vector>

namespace imgbuild::registry {

void copy_blob(const oci::Descriptor& blob, util::Source& from, util::Sink& into, const std::string& what,
               const std::stop_token& stop) {
    constexpr std::size_t kBufferBytes = 256U << 10;
    util::VerifyingSource verified(from, blob.digest, blob.size, what);
    std::vector<std::byte> buffer(kBufferBytes);
    while (const std::size_t n = verified.read(buffer)) {
        if (stop.stop_requested()) throw Cancelled();
        into.write(std::span(buffer).first(n));
    }
}

}  // namespace imgbuild::registry
