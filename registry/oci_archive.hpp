// An OCI image layout as one tar stream, deterministic: fixed times, owners and modes, one order. On request it is an
// archive for `docker load` as well: "manifest.json" points into the same blobs, as docker itself writes it today.
//
//     util::AtomicFile file(path);
//     util::FileSink out(file.fd(), path);
//     OciArchiveWriter archive(out);
//     archive.put(layer, open, stop); …; archive.put_manifest(manifest, bytes, names, stop);
//     archive.finish();
//     file.commit();                       // nobody sees half an archive
//
// Entries: "oci-layout" first, so that readers can tell early what it is; blobs in the order in which they were put
// (callers put layers, lowest first, then the config, for equal archives of equal images), each digest once;
// "index.json" last, when all is known. Nothing is buffered but the index. Into a file a layer can go while it is
// compressed; the bytes are the same.
#pragma once

#include "oci/blobs.hpp"
#include "util/file_sink.hpp"

#include <memory>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

/// Unlike other sinks not for several threads: a stream has one writer.
class OciArchiveWriter final : public oci::BlobSink {
public:
    enum class Docker { no, yes };

    /// Writes the first entries. `out` must outlive the writer.
    explicit OciArchiveWriter(util::Sink& out, Docker docker = Docker::no);
    explicit OciArchiveWriter(util::FileSink& out, Docker docker = Docker::no);

    bool wants_order() const override { return true; }
    /// Null if this is a stream.
    std::unique_ptr<oci::NamelessBlob> begin_blob() override;
    /// True if it was written to this archive.
    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    /// Throws CorruptData if the content differs from the descriptor; the archive is useless then.
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    /// `tags` may be whole names as well, see list_in_index().
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;
    /// Writes index.json, manifest.json if it was asked for, and the end of the tar. Must be called once, after
    /// everything else.
    void finish();

private:
    class Begun;
    struct Listed {
        oci::Descriptor descriptor;
        std::string bytes;
        std::vector<std::string> names;
    };

    void add_text(std::string_view name, std::string_view text);

    util::Sink& out_;
    /// The same, if it is one.
    util::FileSink* file_ = nullptr;
    bool has_begun_ = false;
    Docker docker_;
    std::set<Digest> written_;
    std::vector<Listed> manifests_;
};

}  // namespace imgbuild::registry
