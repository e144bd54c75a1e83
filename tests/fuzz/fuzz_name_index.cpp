// Any bytes as a name index. The checksum is put right, or nothing behind it would ever be reached.
#include "layers/name_index.hpp"

#include <imgbuild/error.hpp>

#include "util/assert.hpp"
#include "util/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imgbuild;
    std::string bytes(reinterpret_cast<const char*>(data), size);
    const Digest digest = util::Sha256::of(bytes);
    bytes.append(reinterpret_cast<const char*>(digest.bytes().data()), digest.bytes().size());
    try {
        const auto names = layers::NameIndex::parse(bytes);
        IMGBUILD_ASSERT(layers::NameIndex::parse(names.serialize()) == names);
    } catch (const Error&) {
        return 0;
    }
    return 0;
}
