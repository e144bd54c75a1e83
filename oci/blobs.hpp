// Where images come from and go to: the two interfaces in which layers, registry and builder meet.
//
// An image is a handful of blobs (layers, one config) and one manifest that names them by digest. A BlobSource has
// blobs: a repository in a registry, an OCI layout, the local store. A BlobSink takes them. Neither knows the other:
//
//     for (const Descriptor& blob : missing)                       // pushing: layers and config first, in any order,
//         sink.put(blob, [&] { return store.open(blob.digest); }, stop);   // from several threads if you like
//     sink.put_manifest(manifest, bytes, tags, stop);              // then what names them, and the tags with it
//
// The order matters: a manifest is put last, so that nobody ever sees an image some of whose blobs are missing.
//
// Trust. A source verifies: what fetch() has written when it returns is exactly `size` bytes of digest `digest`, or it
// throws CorruptData, at the first excess byte or at the end. Bytes may have reached the sink by then, so a sink must
// be able to forget (a temporary file that is not committed). A BlobSink verifies too, as far as it can see: it throws
// CorruptData if the content does not have the descriptor's size and digest, and then keeps nothing.
//
// Threads: one object may be used from several threads at once. Everything may take long and listens to its stop token
// (Cancelled).
#pragma once

#include "oci/descriptor.hpp"
#include "util/bytes.hpp"

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace imgbuild::oci {

/// Opens a blob's content at its beginning. A sink calls it once, and again when a try has failed half-way.
using OpenContent = std::function<std::unique_ptr<util::Source>()>;

class BlobSource {
public:
    virtual ~BlobSource() = default;

    /// Writes the blob's bytes to `into`, verified as told above. Throws CorruptData, RegistryError or IoError,
    /// Cancelled; an absent blob is an error as well.
    virtual void fetch(const Descriptor& blob, util::Sink& into, std::stop_token stop) = 0;
};

/// A blob that a sink takes while it is made, when nobody knows its digest yet. One that is destroyed before keep() is
/// gone, with all that was written of it.
class NamelessBlob : public util::Sink {
public:
    /// Was everything. Its digest is the caller's word. If the sink cannot keep it (an archive has no room left for
    /// such a size, or has the blob already), has() says so, and put() is there.
    virtual void keep(const Descriptor& blob) = 0;
};

class BlobSink {
public:
    virtual ~BlobSink() = default;

    /// One blob after the other, from one thread, so that equal images give equal bytes.
    virtual bool wants_order() const { return false; }
    /// Begins a blob that is still to be made; until that is kept or gone, nothing else is put. Null: the sink must
    /// know what comes, as most must.
    virtual std::unique_ptr<NamelessBlob> begin_blob() { return nullptr; }

    /// Is it there already, so that put() would be a waste?
    virtual bool has(const Descriptor& blob, std::stop_token stop) = 0;
    /// Takes a blob; idempotent. What `open` gives must yield exactly `blob.size` bytes.
    virtual void put(const Descriptor& blob, const OpenContent& open, std::stop_token stop) = 0;
    /// Takes a manifest or an index, whose blobs must be there, under its digest and each of `tags` (may be none).
    virtual void put_manifest(const Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                              std::stop_token stop) = 0;
};

/// Content that lies in memory, for configs. The text is copied into the function.
OpenContent open_text(std::string text);

/// A blob as a string. Throws CorruptData ("corrupt.too-large") if it says to be larger than `limit` bytes.
std::string fetch_document(BlobSource& source, const Descriptor& blob, std::size_t limit, std::stop_token stop);

}  // namespace imgbuild::oci
