// An image's way into registries, under all its names.
#pragma once

#include "builder/image_output.hpp"
#include "registry/repository.hpp"

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace imgbuild::builder {

class PushOutput final : public ImageOutput {
public:
    /// As begin_output().
    PushOutput(const Output& output, std::span<const Reference> names, const Services& services,
               const MountFrom& mount_from);
    ~PushOutput() override;

    /// The repository of the first name; the others mount from it what they can.
    oci::BlobSink* early() override;
    void finish(const PackedImage& image, const Work& work) override;

private:
    class Target;

    const Services& services_;
    bool by_digest_;
    std::vector<Reference> names_;
    std::vector<std::unique_ptr<Target>> targets_;
};

}  // namespace imgbuild::builder
