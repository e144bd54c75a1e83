#include "builder/archive_file.hpp"

#include <unistd.h>

namespace imgbuild::builder {
namespace {

using Docker = registry::OciArchiveWriter::Docker;

bool is_stream(const std::string& path) {
    return path == "-";
}

}  // namespace

ArchiveFile::ArchiveFile(const std::string& path, Docker docker)
    : file_(is_stream(path) ? std::nullopt : std::make_optional<util::AtomicFile>(path)),
      sink_(file_ ? file_->fd() : STDOUT_FILENO, file_ ? path : "standard output"),
      writer_(file_ ? registry::OciArchiveWriter(sink_, docker)
                    : registry::OciArchiveWriter(static_cast<util::Sink&>(sink_), docker)) {}

void ArchiveFile::finish(const PackedImage& image, std::span<const std::string> names, const Work& work) {
    send_image(image, writer_, names, work);
    writer_.finish();
    if (file_) file_->commit();
}

}  // namespace imgbuild::builder
