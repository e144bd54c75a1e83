// An OCI image layout as one tar stream, deterministic: fixed times, owners and modes, one order.
//
//     util::AtomicFile file(path);
//     util::FdSink out(file.fd(), path);
//     OciArchiveWriter archive(out, "docker.io/library/app:1");
//     archive.put(layer, open, stop); …; archive.put_manifest(manifest, bytes, tags, stop);
//     archive.finish();
//     file.commit();                       // nobody sees half an archive
//
// Entries: "oci-layout" first, so that readers can tell early what it is; blobs in the order in which they were put
// (callers put config, then layers, lowest first, for equal archives of equal images), each digest once; "index.json"
// last, when all is known. Nothing is buffered but the index.
#pragma once

#include "oci/blobs.hpp"
#include "util/bytes.hpp"

#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

/// Not thread-safe: a stream has one writer.
class OciArchiveWriter final : public oci::BlobSink {
public:
    /// `out` must outlive the writer. `image_name` as for OciLayoutWriter.
    explicit OciArchiveWriter(util::Sink& out, std::string image_name = {});

    /// True if it was written to this archive.
    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    /// Throws CorruptData if the content differs from the descriptor; the archive is useless then.
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;
    /// Writes index.json and the end of the tar. Must be called once, after everything else.
    void finish();

private:
    void add_file(const std::string& name, std::uint64_t size, util::Source& content, std::stop_token stop);
    void add_directory(const std::string& name);

    util::Sink& out_;
    std::string image_name_;
    std::set<Digest> written_;
    std::vector<oci::Descriptor> manifests_;
};

}  // namespace imgbuild::registry
