#include "builder/send.hpp"

#include "builder/export.hpp"

namespace imgbuild::builder {

Digest send_stored_image(const layers::ImageRecord& record, const Output& output, const std::vector<Reference>& names,
                         const layers::Codec& codec, const Services& services, std::stop_token stop) {
    const Image image = load_image(record, services);
    layers::Lease lease = services.store.begin_lease();
    LayerForms forms(lease, services.threads);
    const Work work{.stop = std::move(stop), .progress = services.progress};
    if (is_files(output.kind)) {
        write_files(output, image.fs, image.config.platform, forms, work);
        return image.id;
    }
    const Packing packing{.codec = output.codec.value_or(codec),
                          .recompress = output.recompress,
                          .annotations = output.annotations,
                          .descriptor_annotations = output.descriptor_annotations};
    const PackedImage packed = pack_image(image, forms, packing, services.threads, work);
    write_output(
        output, packed, output.names.empty() ? names : output.names, services,
        [](const std::string&) { return std::vector<std::string>(); }, work);
    return packed.descriptor.digest;
}

}  // namespace imgbuild::builder
