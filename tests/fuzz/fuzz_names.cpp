// Names that users and indexes write: references, platforms, digests. A normal form is its own normal form.
#include "tests/fuzz/fuzz.hpp"

#include "util/assert.hpp"

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/reference.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = imgbuild::fuzz::text_of(data, size);
    imgbuild::fuzz::attempt([&] {
        const auto reference = imgbuild::Reference::parse(text);
        IMGBUILD_ASSERT(imgbuild::Reference::parse(reference.text()) == reference);
    });
    imgbuild::fuzz::attempt([&] {
        const auto platform = imgbuild::Platform::parse(text);
        IMGBUILD_ASSERT(imgbuild::Platform::parse(platform.text()).text() == platform.text());
    });
    if (const auto digest = imgbuild::Digest::parse(text)) IMGBUILD_ASSERT(digest->text() == text);
    return 0;
}
