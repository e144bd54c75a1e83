#include "builder/delivery.hpp"

#include "builder/export.hpp"
#include "builder/image_output.hpp"
#include "builder/packed_image.hpp"
#include "builder/told_step.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace imgbuild::builder {
namespace {

class Delivery {
public:
    Delivery(ImageDraft draft, const DeliveryContext& context)
        : draft_(std::move(draft)),
          request_(context.request),
          services_(context.services),
          images_(context.images),
          lease_(context.lease),
          forms_(context.forms),
          stop_(context.stop),
          next_step_(context.first_step) {}

    BuildResult deliver() {
        BuildResult out{.image_id = {}, .manifest = {}, .time = draft_.time};
        for (const Output& output : request_.outputs) {
            switch (output.kind) {
                case Output::Kind::image:
                case Output::Kind::cacheonly:
                    break;
                case Output::Kind::local:
                case Output::Kind::tar:
                    as_step(step_name(output), [&](const Work& work) {
                        write_files(output, draft_.fs, draft_.config.platform, forms_, work);
                    });
                    break;
                case Output::Kind::oci_archive:
                case Output::Kind::docker_archive:
                case Output::Kind::oci_layout:
                case Output::Kind::registry:
                    send(output, out);
            }
        }
        out.image_id = image().id;
        if (is_kept()) keep(image());
        out.names = names_in_store();
        for (const Output& output : request_.outputs) {
            if (output.kind != Output::Kind::image) add_names(names_of(output), out.names);
        }
        services_.store.settle();
        return out;
    }

private:
    // A place that cannot be written is told as that output's step, before anything is packed for it.
    std::unique_ptr<ImageOutput> begin(const Output& output) {
        try {
            return begin_output(output, names_of(output), services_,
                                [this](const std::string& domain) { return images_.repositories(domain); });
        } catch (const std::exception&) {
            as_step(step_name(output), [](const Work&) { throw; });
            std::unreachable();
        }
    }

    void send(const Output& output, BuildResult& result) {
        const auto place = begin(output);
        const PackedImage& packed = pack(output, place->early());
        if (!result.manifest) {
            result.manifest = packed.descriptor.digest;
            result.descriptor = packed.descriptor;
        }
        as_step(step_name(output), [&](const Work& work) { place->finish(packed, work); });
    }

    // Layers are read once: those that are packed have got their diff ids before anybody asks for the image's.
    const Image& image() {
        if (!image_) {
            image_ = in_context("finishing the image", [&] {
                return finish_image(draft_, forms_, services_.threads, {.stop = stop_, .progress = services_.progress});
            });
        }
        return *image_;
    }

    // Outputs that want the same compression and annotations share one packing. What has to be packed for it goes to
    // the first of them at once.
    const PackedImage& pack(const Output& output, oci::BlobSink* into) {
        Packing packing{.codec = output.codec.value_or(request_.codec),
                        .recompress = output.recompress,
                        .annotations = output.annotations,
                        .descriptor_annotations = output.descriptor_annotations};
        packing.annotations.insert(request_.annotations.begin(), request_.annotations.end());
        packing.descriptor_annotations.insert(request_.descriptor_annotations.begin(),
                                              request_.descriptor_annotations.end());
        for (const auto& known : packed_) {
            if (known->first == packing) return known->second;
        }
        packed_.push_back(std::make_unique<std::pair<Packing, PackedImage>>(packing, PackedImage{}));
        PackedImage& out = packed_.back()->second;
        const bool sends = into != nullptr && !into->wants_order() && has_to_pack(draft_.fs, forms_, packing);
        as_step(sends ? "pack and push the layers" : "pack the layers", [&](const Work& work) {
            auto blobs = pack_layers(draft_.fs, forms_, packing, services_.threads, work, into);
            out = list_blobs(image(), std::move(blobs), forms_, packing);
        });
        return out;
    }

    // Who asks for files, or for nothing, wants no image in the list of images.
    bool is_kept() const {
        if (request_.outputs.empty()) return true;
        return std::any_of(request_.outputs.begin(), request_.outputs.end(), [](const Output& output) {
            return !is_files(output.kind) && output.kind != Output::Kind::cacheonly;
        });
    }

    void keep(const Image& image) {
        const bool is_sent = std::any_of(request_.outputs.begin(), request_.outputs.end(),
                                         [](const Output& output) { return output.kind != Output::Kind::image; });
        // An image of the store is whole: it can be run and pushed when its base's registry is gone.
        if (!is_sent) forms_.ensure_stored(image.fs, {.stop = stop_, .progress = services_.progress});
        keep_image(image, names_in_store(), services_.store, lease_);
    }

    static void add_names(const std::vector<Reference>& more, std::vector<Reference>& names) {
        for (const Reference& name : more) {
            const bool known = std::any_of(names.begin(), names.end(),
                                           [&](const Reference& one) { return one.text() == name.text(); });
            if (!known) names.push_back(name);
        }
    }

    const std::vector<Reference>& names_of(const Output& output) const {
        return output.names.empty() ? request_.names : output.names;
    }

    std::vector<Reference> names_in_store() const {
        std::vector<Reference> out = request_.names;
        for (const Output& output : request_.outputs) {
            if (output.kind == Output::Kind::image) add_names(output.names, out);
        }
        return out;
    }

    std::string step_name(const Output& output) const {
        switch (output.kind) {
            case Output::Kind::oci_archive:
            case Output::Kind::tar:
            case Output::Kind::docker_archive:
                return fmt::format("write {}", util::quote(output.destination));
            case Output::Kind::oci_layout:
                return fmt::format("write the layout {}", util::quote(output.destination));
            case Output::Kind::local:
                return fmt::format("write the files to {}", util::quote(output.destination));
            case Output::Kind::registry:
            case Output::Kind::image:
            case Output::Kind::cacheonly:
                break;
        }
        std::string out = "push";
        for (const Reference& name : names_of(output)) out += " " + name.familiar();
        return out;
    }

    // Work after the graph, told like a step.
    void as_step(std::string what, const std::function<void(const Work&)>& body) {
        StepInfo info{.number = next_step_++, .stage = {}, .position = {}, .instruction = std::move(what), .line = 0};
        const Work work{.stop = stop_, .progress = services_.progress, .step = info.number, .info = info};
        tell_step(work, [&]() -> StepEnding {
            body(work);
            return {};
        });
    }

    ImageDraft draft_;
    std::optional<Image> image_;
    const BuildRequest& request_;
    const Services& services_;
    Images& images_;
    layers::Lease& lease_;
    LayerForms& forms_;
    std::stop_token stop_;
    std::vector<std::unique_ptr<std::pair<Packing, PackedImage>>> packed_;
    std::size_t next_step_;
};

}  // namespace

BuildResult deliver(ImageDraft draft, const DeliveryContext& context) {
    return Delivery(std::move(draft), context).deliver();
}

}  // namespace imgbuild::builder
