// A lease's blobs: finding, reading and relating them. How they are made is in blob_writer.cpp.
#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "layers/store_access.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <cerrno>

namespace imgbuild::layers {
namespace {

std::string describe(const Digest& digest) {
    return fmt::format("the stored blob {}", digest.text());
}

// A blob's file. What this process wrote and hashed itself need not be hashed once more.
class BlobFile final : public util::Source {
public:
    BlobFile(const StoreData& store, const BlobInfo& blob, int fd) : content_(fd, store.blob_path(blob.digest)) {
        if (store.written().has(blob.digest, fd)) {
            proof_ = util::Proof{.digest = blob.digest, .size = blob.size, .file = fd};
        }
    }
    std::size_t read(std::span<std::byte> into) override { return content_.read(into); }
    std::optional<util::Proof> proof() const override { return proof_; }

private:
    util::FdSource content_;
    std::optional<util::Proof> proof_;
};

// Checked on the way; a bad one is moved out of the store by the first who notices.
class StoredBlob final : public util::Source {
public:
    StoredBlob(std::shared_ptr<StoreData> store, const BlobInfo& blob, util::Fd fd)
        : store_(std::move(store)),
          digest_(blob.digest),
          fd_(std::move(fd)),
          file_(*store_, blob, fd_.get()),
          verified_(file_, digest_, blob.size, describe(digest_)) {}

    std::size_t read(std::span<std::byte> into) override {
        try {
            return verified_.read(into);
        } catch (const CorruptData&) {
            store_->drop_blob_file(digest_, fd_.get());
            throw;
        }
    }
    std::optional<util::Proof> proof() const override { return verified_.proof(); }

private:
    std::shared_ptr<StoreData> store_;
    Digest digest_;
    util::Fd fd_;
    BlobFile file_;
    util::VerifyingSource verified_;
};

CorruptData missing(const Digest& digest) {
    return CorruptData({.code = "corrupt.missing-blob",
                        .message = fmt::format("the store does not have the blob {}", digest.text()),
                        .hint = "it was found damaged, or the store was cleared while the build ran; build again",
                        .where = {}});
}

}  // namespace

std::optional<BlobInfo> Lease::find_blob(const Digest& digest) {
    return state_->hold->find_blob(digest);
}

util::Fd Lease::open_blob_file(const BlobInfo& blob) {
    LeaseHold& hold = *state_->hold;
    const auto known = hold.find_blob(blob.digest);
    if (!known) throw missing(blob.digest);
    // Somebody's claim against our row: the row stays.
    if (known->size != blob.size) {
        throw CorruptData(describe(blob.digest), fmt::format("{} bytes", blob.size),
                          fmt::format("{} bytes", known->size));
    }
    return util::open_path(hold.store().blob_path(blob.digest), O_RDONLY | O_NOFOLLOW);
}

std::unique_ptr<util::Source> Lease::open_blob(const BlobInfo& blob) {
    util::Fd fd = open_blob_file(blob);
    return std::make_unique<StoredBlob>(state_->hold->shared_store(), blob, std::move(fd));
}

void Lease::record_form(const DiffId& diff_id, const BlobForm& form) {
    state_->hold->store().index().write([&](Tables& tables) { tables.put_form(diff_id, form); });
}

std::optional<BlobForm> Lease::find_form(const DiffId& diff_id, std::string_view codec_id) {
    LeaseHold& hold = *state_->hold;
    const auto forms = hold.store().index().read([&](Tables& tables) { return tables.forms(diff_id, codec_id); });
    for (const BlobForm& form : forms) {
        if (hold.find_blob(form.blob.digest)) return form;
    }
    return std::nullopt;
}

}  // namespace imgbuild::layers
