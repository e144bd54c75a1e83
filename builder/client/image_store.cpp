#include <imgbuild/image_store.hpp>

#include "builder/client/output.hpp"
#include "builder/client/session.hpp"

namespace imgbuild {
namespace {

ImageInfo info_of(const worker::ImageOnWire& image) {
    ImageInfo out{.id = image.id,
                  .names = {},
                  .created = image.created,
                  .size = image.size,
                  .layers = image.layers,
                  .config = image.config};
    for (const std::string& name : image.names) out.names.push_back(Reference::parse(name));
    return out;
}

Digest send(const std::string& image, const Output& output, const std::vector<Reference>& names,
            const Compression& compression, const WorkerOptions& worker, const client::Listening& listening) {
    client::Descriptors descriptors;
    worker::SendImage task{.image = image,
                           .output = client::to_builder(output, descriptors),
                           .names = names,
                           .codec = client::to_builder(compression)};
    return client::require_result<worker::SendDone>(
               client::run_task(std::move(task), worker, listening, descriptors.names, descriptors.fds))
        .manifest;
}

}  // namespace

std::vector<ImageInfo> ImageStore::list() const {
    const auto result = client::require_result<worker::ImageList>(client::run_task(worker::ListImages{}, worker_, {}));
    std::vector<ImageInfo> out;
    for (const worker::ImageOnWire& image : result.images) out.push_back(info_of(image));
    return out;
}

ImageInfo ImageStore::inspect(const std::string& image) const {
    return info_of(client::require_result<worker::ImageOnWire>(
        client::run_task(worker::InspectImage{.image = image}, worker_, {})));
}

void ImageStore::tag(const std::string& image, const Reference& name) const {
    client::require_result<worker::Done>(
        client::run_task(worker::TagImage{.image = image, .name = name.text()}, worker_, {}));
}

void ImageStore::remove(const std::string& image) const {
    client::require_result<worker::Done>(client::run_task(worker::RemoveImage{.image = image}, worker_, {}));
}

Digest ImageStore::export_to(const std::string& image, const Output& output, const std::vector<Reference>& names,
                             ProgressSink* progress, std::stop_token stop) const {
    if (output.kind == Output::Kind::registry) {
        throw UsageError({.code = "usage.bad-output",
                          .message = "an export writes files",
                          .hint = "use ImageStore::push() for a registry",
                          .where = {}});
    }
    return send(image, output, names, {}, worker_, {.progress = progress, .stop = std::move(stop)});
}

Digest ImageStore::push(const std::string& image, const Reference& name, const Compression& compression,
                        ProgressSink* progress, std::stop_token stop) const {
    client::require_no_digest(name);
    return send(image, Output::push(), {name}, compression, worker_, {.progress = progress, .stop = std::move(stop)});
}

ImageInfo ImageStore::pull(const Reference& name, const std::optional<Platform>& platform, ProgressSink* progress,
                           std::stop_token stop) const {
    worker::PullImage task{.name = name.text(), .platform = platform.value_or(Platform::host())};
    return info_of(client::require_result<worker::ImageOnWire>(
        client::run_task(std::move(task), worker_, {.progress = progress, .stop = std::move(stop)})));
}

}  // namespace imgbuild
