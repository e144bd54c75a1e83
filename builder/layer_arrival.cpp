// How layers arrive: remote → blob, and blob → tree.
#include "builder/layer_forms.hpp"

#include <imgbuild/error.hpp>

#include "layers/decompress.hpp"
#include "layers/unpack.hpp"
#include "util/byte_queue.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <thread>

namespace imgbuild::builder {
namespace {

// Between the network and the unpacker.
constexpr std::size_t kQueueBytes = 4U << 20;

// Tells how far a transfer is, every few hundred kilobytes.
class ReportingSink final : public util::Sink {
public:
    ReportingSink(util::Sink& next, const Work& work, std::string what, std::uint64_t total)
        : next_(next), work_(work), what_(std::move(what)), total_(total) {}

    void write(std::span<const std::byte> bytes) override {
        constexpr std::uint64_t kInterval = 512U << 10;
        next_.write(bytes);
        done_ += bytes.size();
        if (done_ - reported_ < kInterval && done_ != total_) return;
        reported_ = done_;
        work_.progress.report(event::StepTransfer{.number = work_.step, .what = what_, .done = done_, .total = total_});
    }

private:
    util::Sink& next_;
    const Work& work_;
    std::string what_;
    std::uint64_t total_;
    std::uint64_t done_ = 0;
    std::uint64_t reported_ = 0;
};

// Gives everything to both.
class TeeSink final : public util::Sink {
public:
    TeeSink(util::Sink& first, util::Sink& second) : first_(first), second_(second) {}
    void write(std::span<const std::byte> bytes) override {
        first_.write(bytes);
        second_.write(bytes);
    }

private:
    util::Sink& first_;
    util::Sink& second_;
};

layers::BlobInfo blob_of(const RemoteLayer& remote) {
    return {.digest = remote.blob.digest, .size = remote.blob.size};
}

layers::BlobForm pulled_form(const RemoteLayer& remote) {
    return {.blob = blob_of(remote), .media_type = remote.blob.media_type, .codec_id = std::string(kPulledForm)};
}

// Digests of blobs and diff ids come from an image, which may name one thing as a blob and as a diff id, and even two
// things the one way here and the other way there. So both kinds have claims of their own, of which that of the blob is
// always taken first: nobody waits in a circle. Nor is either the claim of a key.
Digest blob_claim(const Digest& blob) {
    return util::Sha256::of("arrival of blob " + blob.text());
}

Digest tree_claim(const DiffId& diff_id) {
    return util::Sha256::of("arrival of tree " + diff_id.text());
}

}  // namespace

Error layer_lost(const Layer& layer) {
    return Error({.code = "store.layer-lost",
                  .message = fmt::format("the layer {} is no longer in the store", layer.identity.brief()),
                  .hint = "build its image again; for a base image of a registry --pull fetches it",
                  .where = {}});
}

std::optional<layers::BlobForm> LayerForms::find_remote_blob(Layer& layer) {
    const std::lock_guard lock(layer.mutex);
    if (!layer.remote || layer.remote->repository.empty() || !layer.diff_id) return std::nullopt;
    if (lease_.find_form(*layer.diff_id, kPulledForm)) return std::nullopt;
    return pulled_form(*layer.remote);
}

layers::BlobForm LayerForms::fetch(const RemoteLayer& remote, const Work& work) {
    const layers::BlobInfo expected = blob_of(remote);
    if (!lease_.find_blob(expected.digest)) {
        const auto claim = lease_.claim(blob_claim(expected.digest), work.stop);
        if (!lease_.find_blob(expected.digest)) {
            layers::BlobWriter writer = lease_.begin_proven_blob(expected);
            ReportingSink sink(writer, work, "fetch " + expected.digest.brief(), expected.size);
            remote.source->fetch(remote.blob, sink, work.stop);
            writer.commit(expected);
        }
    }
    return pulled_form(remote);
}

// Which tar a blob holds is only its image's word until somebody has looked. The store is shared by images, so what it
// remembers must be true for all of them.
void LayerForms::record_pulled(const layers::BlobForm& form, const DiffId& diff_id, const Work& work) {
    const auto blob = lease_.open_blob(form.blob);
    const auto tar = layers::open_layer_blob(*blob);
    util::Sha256 hash;
    std::vector<std::byte> buffer(256U << 10);
    while (const std::size_t n = tar->read(buffer)) {
        if (work.stop.stop_requested()) throw Cancelled();
        hash.update(std::span(buffer).first(n));
    }
    const DiffId found(hash.digest());
    if (found != diff_id) throw CorruptData("the layer's tar", diff_id.text(), found.text());
    lease_.record_form(diff_id, form);
}

layers::LayerId LayerForms::unpack(const Layer& layer, const Work& work) {
    // A push or an export may have left the blob without a tree.
    const auto known = lease_.find_form(*layer.diff_id, "");
    if (!known && !layer.remote) throw layer_lost(layer);
    const std::string image = layer.remote ? layer.remote->image : "the store";
    return in_context(fmt::format("unpacking layer {} of {}", layer.diff_id->digest().brief(), image),
                      [&] { return known ? unpack_known(*layer.diff_id, *known, work) : unpack_remote(layer, work); });
}

// A layer that was packed straight from its sources.
void LayerForms::add_missing_tree(Layer& layer, const Work& work) {
    const DiffId diff_id = lease_.facts(*layer.id).diff_id.value();
    const auto claim = lease_.claim(tree_claim(diff_id), work.stop);
    if (lease_.has_tree(*layer.id)) return;
    const auto form = lease_.find_form(diff_id, "");
    if (!form) throw layer_lost(layer);
    // Steps see the same times in whatever way the tree came about.
    const layers::NameIndex names = layers::NameIndex::parse(lease_.read_names(*layer.id));
    const std::int64_t implicit_mtime = names.implicit().empty() ? 0 : names.entries()[names.implicit()[0]].mtime;
    in_context(fmt::format("unpacking layer {} of the store", diff_id.digest().brief()), [&] {
        const auto blob = lease_.open_blob(form->blob);
        layers::UnfinishedLayer unfinished = lease_.begin_layer();
        const layers::UnpackResult result =
            layers::unpack_layer(*blob, util::RootedDir::open(unfinished.tree()), {}, work.stop, implicit_mtime);
        if (result.diff_id != diff_id) throw CorruptData("the layer's tar", diff_id.text(), result.diff_id.text());
        lease_.add_tree(*layer.id, std::move(unfinished), result.names.serialize());
    });
}

layers::LayerId LayerForms::unpack_known(const DiffId& diff_id, const layers::BlobForm& form, const Work& work) {
    const auto claim = lease_.claim(tree_claim(diff_id), work.stop);
    if (const auto id = lease_.find_layer(diff_id)) return *id;
    const auto blob = lease_.open_blob(form.blob);
    return unpack_from(*blob, diff_id, work, [] {});
}

layers::LayerId LayerForms::unpack_remote(const Layer& layer, const Work& work) {
    const RemoteLayer& remote = *layer.remote;
    const DiffId& diff_id = *layer.diff_id;
    const layers::BlobInfo expected = blob_of(remote);
    {
        const auto blob = lease_.claim(blob_claim(expected.digest), work.stop);
        if (!lease_.find_blob(expected.digest)) {
            const auto tree = lease_.claim(tree_claim(diff_id), work.stop);
            if (const auto id = lease_.find_layer(diff_id)) return *id;
            return unpack_while_fetching(remote, diff_id, work);
        }
    }
    layers::LayerId id = unpack_known(diff_id, pulled_form(remote), work);
    lease_.record_form(diff_id, pulled_form(remote));
    return id;
}

// The bytes go into the store and through the unpacker at once. Both results are published only after the source has
// vouched for the whole blob.
layers::LayerId LayerForms::unpack_while_fetching(const RemoteLayer& remote, const DiffId& diff_id, const Work& work) {
    const layers::BlobInfo expected = blob_of(remote);
    util::ByteQueue queue(static_cast<std::size_t>(std::clamp<std::uint64_t>(expected.size, 1, kQueueBytes)));
    layers::BlobWriter writer = lease_.begin_proven_blob(expected);
    std::jthread fetcher([&](const std::stop_token& stop) {
        queue.run_producer([&](util::Sink& unpacker) {
            TeeSink both(writer, unpacker);
            ReportingSink sink(both, work, "fetch " + expected.digest.brief(), expected.size);
            remote.source->fetch(remote.blob, sink, stop);
        });
    });
    const std::stop_callback forward(work.stop, [&fetcher] { fetcher.request_stop(); });
    const auto finish_fetch = [&] {
        queue.stop_reading();
        if (fetcher.joinable()) fetcher.join();
        if (const auto failure = queue.failure()) std::rethrow_exception(failure);
    };
    try {
        return unpack_from(queue.source(), diff_id, work, [&] {
            finish_fetch();
            writer.commit(expected);
            lease_.record_form(diff_id, pulled_form(remote));
        });
    } catch (const CorruptData&) {
        // What is wrong with the transfer explains what is wrong with the tar, and not the reverse.
        finish_fetch();
        throw;
    } catch (...) {
        fetcher.request_stop();
        queue.stop_reading();
        throw;
    }
}

layers::LayerId LayerForms::unpack_from(util::Source& blob, const DiffId& diff_id, const Work& work,
                                        const std::function<void()>& before_publishing) {
    layers::UnfinishedLayer unfinished = lease_.begin_layer();
    const layers::UnpackResult result =
        layers::unpack_layer(blob, util::RootedDir::open(unfinished.tree()), {}, work.stop);
    if (result.diff_id != diff_id) throw CorruptData("the layer's tar", diff_id.text(), result.diff_id.text());
    before_publishing();
    return lease_.publish(std::move(unfinished), result.names.serialize(),
                          {.diff_id = result.diff_id, .tar_size = result.tar_size}, {});
}

}  // namespace imgbuild::builder
