// Any bytes as a layer: only an Error may come out, and nothing outside of the tree may change.
#include "layers/unpack.hpp"

#include <imgbuild/error.hpp>

#include "util/files.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imgbuild;
    constexpr layers::ArchiveLimits kLimits{.entries = 500, .content_bytes = 1U << 20, .expansion_free = 1U << 20};
    const util::TempDir directory("/tmp", "imgbuild-fuzz-");
    util::MemorySource source({reinterpret_cast<const char*>(data), size});
    try {
        layers::unpack_layer(source, util::RootedDir::open(directory.path()), kLimits);
    } catch (const Error&) {
        return 0;
    }
    return 0;
}
