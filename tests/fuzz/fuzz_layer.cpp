// A layer as a registry serves it: compressed somehow, a tar of some kind, hostile. Limits are low, so that a bomb is
// an error and not a wait.
#include "tests/fuzz/fuzz.hpp"

#include "layers/archive_reader.hpp"
#include "layers/decompress.hpp"
#include "util/assert.hpp"

#include <array>
#include <span>

namespace {

void read_all(imgbuild::util::Source& tar, imgbuild::layers::AbsoluteNames absolute,
              const imgbuild::layers::ArchiveLimits& limits) {
    imgbuild::layers::ArchiveReader reader(tar, absolute, limits);
    std::array<std::byte, 4096> buffer{};
    while (const auto* entry = reader.next()) {
        IMGBUILD_ASSERT(!entry->path.starts_with("/") && !entry->path.starts_with("../"));
        while (reader.content().read(buffer) > 0) {
        }
    }
    reader.drain();
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const imgbuild::layers::ArchiveLimits limits{.entries = 1000,
                                                 .content_bytes = 16U << 20,
                                                 .sparse_segments = 1000,
                                                 .expansion = 100,
                                                 .expansion_free = 1U << 20};
    const auto bytes = imgbuild::fuzz::text_of(data, size);
    for (const auto absolute : {imgbuild::layers::AbsoluteNames::refuse, imgbuild::layers::AbsoluteNames::strip}) {
        imgbuild::fuzz::attempt([&] {
            imgbuild::util::MemorySource source(bytes);
            const auto tar = imgbuild::layers::open_layer_blob(source, limits);
            read_all(*tar, absolute, limits);
        });
        imgbuild::fuzz::attempt([&] {
            imgbuild::util::MemorySource source(bytes);
            read_all(source, absolute, limits);
        });
    }
    return 0;
}
