#include "builder/archive_output.hpp"

#include "builder/send_image.hpp"

#include <unistd.h>
#include <utility>

namespace imgbuild::builder {
namespace {

using Docker = registry::OciArchiveWriter::Docker;

bool is_stream(const std::string& path) {
    return path == "-";
}

}  // namespace

ArchiveOutput::ArchiveOutput(const std::string& path, Docker docker, std::vector<std::string> names)
    : names_(std::move(names)),
      file_(is_stream(path) ? std::nullopt : std::make_optional<util::AtomicFile>(path)),
      sink_(file_ ? file_->fd() : STDOUT_FILENO, file_ ? path : "standard output"),
      writer_(file_ ? registry::OciArchiveWriter(sink_, docker)
                    : registry::OciArchiveWriter(static_cast<util::Sink&>(sink_), docker)) {}

void ArchiveOutput::finish(const PackedImage& image, const Work& work) {
    send_image(image, writer_, names_, work);
    writer_.finish();
    if (file_) file_->commit();
}

}  // namespace imgbuild::builder
