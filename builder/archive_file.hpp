// An archive of one image, in a file or on standard output.
//
//     ArchiveFile archive(path, docker);
//     pack_layers(fs, forms, packing, threads, work, archive.early());    // if they are still to be packed
//     archive.finish(packed, names, work);                                // what lacks; nobody sees it before that
#pragma once

#include "builder/image.hpp"
#include "registry/oci_archive.hpp"
#include "util/file_sink.hpp"
#include "util/files.hpp"

#include <optional>
#include <span>
#include <string>

namespace imgbuild::builder {

class ArchiveFile {
public:
    /// `path` "-" is standard output. Throws IoError.
    ArchiveFile(const std::string& path, registry::OciArchiveWriter::Docker docker);

    /// Takes layers while they are made. Null on standard output, where nobody can go back for a digest.
    oci::BlobSink* early() { return file_ ? &writer_ : nullptr; }
    /// Call once. Throws as send_image(), and IoError.
    void finish(const PackedImage& image, std::span<const std::string> names, const Work& work);

private:
    std::optional<util::AtomicFile> file_;
    util::FileSink sink_;
    registry::OciArchiveWriter writer_;
};

}  // namespace imgbuild::builder
