#include "builder/image_output.hpp"

#include "builder/archive_output.hpp"
#include "builder/push_output.hpp"
#include "builder/send_image.hpp"
#include "registry/oci_layout.hpp"
#include "util/assert.hpp"

#include <utility>

namespace imgbuild::builder {
namespace {

// Archives and layouts take whole names, and write both the tag and the name that containerd and docker look for.
std::vector<std::string> texts_of(std::span<const Reference> names) {
    std::vector<std::string> out;
    for (const Reference& name : names) out.push_back(name.text());
    return out;
}

class LayoutOutput final : public ImageOutput {
public:
    LayoutOutput(const std::string& path, std::vector<std::string> names) : layout_(path), names_(std::move(names)) {}
    void finish(const PackedImage& image, const Work& work) override { send_image(image, layout_, names_, work); }

private:
    registry::OciLayoutWriter layout_;
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<ImageOutput> begin_output(const Output& output, std::span<const Reference> names,
                                          const Services& services, const MountFrom& mount_from) {
    using Docker = registry::OciArchiveWriter::Docker;
    switch (output.kind) {
        case Output::Kind::oci_archive:
            return std::make_unique<ArchiveOutput>(output.destination, Docker::no, texts_of(names));
        case Output::Kind::docker_archive:
            return std::make_unique<ArchiveOutput>(output.destination, Docker::yes, texts_of(names));
        case Output::Kind::oci_layout:
            return std::make_unique<LayoutOutput>(output.destination, texts_of(names));
        case Output::Kind::registry:
            return std::make_unique<PushOutput>(output, names, services, mount_from);
        case Output::Kind::image:
        case Output::Kind::cacheonly:
        case Output::Kind::local:
        case Output::Kind::tar:
            break;
    }
    IMGBUILD_ASSERT(false && "an output without a manifest");
    std::unreachable();
}

}  // namespace imgbuild::builder
