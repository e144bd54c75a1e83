#include "builder/send.hpp"

#include "builder/export.hpp"
#include "builder/image_output.hpp"
#include "builder/packed_image.hpp"

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
    const auto place = begin_output(output, output.names.empty() ? names : output.names, services,
                                    [](const std::string&) { return std::vector<std::string>(); });
    auto blobs = pack_layers(image.fs, forms, packing, services.threads, work, place->early());
    const PackedImage packed = list_blobs(image, std::move(blobs), forms, packing);
    place->finish(packed, work);
    return packed.descriptor.digest;
}

}  // namespace imgbuild::builder
