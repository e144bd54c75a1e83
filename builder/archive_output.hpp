// An archive of one image, in a file or on standard output.
#pragma once

#include "builder/image_output.hpp"
#include "registry/oci_archive.hpp"
#include "util/file_sink.hpp"
#include "util/files.hpp"

#include <optional>
#include <string>
#include <vector>

namespace imgbuild::builder {

class ArchiveOutput final : public ImageOutput {
public:
    /// `path` "-" is standard output. Throws IoError.
    ArchiveOutput(const std::string& path, registry::OciArchiveWriter::Docker docker, std::vector<std::string> names);

    /// Null on standard output, where nobody can go back for a digest.
    oci::BlobSink* early() override { return file_ ? &writer_ : nullptr; }
    void finish(const PackedImage& image, const Work& work) override;

private:
    std::vector<std::string> names_;
    std::optional<util::AtomicFile> file_;
    util::FileSink sink_;
    registry::OciArchiveWriter writer_;
};

}  // namespace imgbuild::builder
