// The JSON documents of images, as a registry or a layout may serve them.
#include "tests/fuzz/fuzz.hpp"

#include "oci/descriptor.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = imgbuild::fuzz::text_of(data, size);
    imgbuild::fuzz::attempt([&] { imgbuild::oci::parse_manifest(text); });
    imgbuild::fuzz::attempt([&] { imgbuild::oci::parse_index(text); });
    imgbuild::fuzz::attempt([&] { imgbuild::oci::parse_image_config(text); });
    imgbuild::fuzz::attempt([&] { imgbuild::oci::parse_descriptor(text, "the descriptor"); });
    return 0;
}
