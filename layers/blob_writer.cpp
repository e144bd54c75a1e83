#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "layers/disk_use.hpp"
#include "layers/store_access.hpp"
#include "layers/store_limit.hpp"
#include "util/assert.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <cstdio>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::size_t kWriteBytes = 256U << 10;

}  // namespace

// Holds the lease as well, so that its directory is there for as long as somebody writes in it.
struct BlobWriter::State {
    /// Who knows what the bytes are.
    enum class Hashed { here, before, afterwards };

    State(std::shared_ptr<LeaseHold> lease, Hashed when, const std::optional<Digest>& proven_digest = {})
        : hold(std::move(lease)),
          hashed(when),
          path(hold->directory() + "/blob-" + random_name()),
          fd(util::open_path(path, O_WRONLY | O_CREAT | O_EXCL, 0644)),
          proven(proven_digest),
          room(hold->store()) {
        waiting.reserve(kWriteBytes);
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    // After publication the name is free, and this finds nothing. What stays goes with the lease's directory.
    ~State() { ::unlink(path.c_str()); }

    // What a network or a compressor hands over is often small, and a call for each piece is not cheap.
    void write(std::span<const std::byte> bytes) {
        if (hashed == Hashed::here) hash.update(bytes);
        size += bytes.size();
        if (waiting.size() + bytes.size() > kWriteBytes) flush();
        if (bytes.size() >= kWriteBytes) return util::write_all(fd.get(), bytes, path);
        waiting.insert(waiting.end(), bytes.begin(), bytes.end());
    }
    void flush() {
        util::write_all(fd.get(), waiting, path);
        waiting.clear();
    }
    BlobInfo info(const std::optional<BlobInfo>& told) const {
        if (hashed == Hashed::afterwards) return {.digest = told.value().digest, .size = size};
        return {.digest = proven ? *proven : hash.digest(), .size = size};
    }

    std::shared_ptr<LeaseHold> hold;
    Hashed hashed;
    std::string path;
    util::Fd fd;
    std::optional<Digest> proven;
    util::Sha256 hash;
    std::uint64_t size = 0;
    std::vector<std::byte> waiting;
    WorkRoom room;
};

BlobWriter::BlobWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlobWriter::BlobWriter(BlobWriter&&) noexcept = default;
BlobWriter::~BlobWriter() = default;

BlobWriter Lease::begin_blob() {
    return BlobWriter(std::make_unique<BlobWriter::State>(state_->hold, BlobWriter::State::Hashed::here));
}

BlobWriter Lease::begin_hashed_blob(std::uint64_t at_least) {
    auto state = std::make_unique<BlobWriter::State>(state_->hold, BlobWriter::State::Hashed::afterwards);
    state->room.reserve(at_least);
    return BlobWriter(std::move(state));
}

BlobWriter Lease::begin_proven_blob(const BlobInfo& blob) {
    return BlobWriter(
        std::make_unique<BlobWriter::State>(state_->hold, BlobWriter::State::Hashed::before, blob.digest));
}

void BlobWriter::write(std::span<const std::byte> bytes) {
    state_->room.need(bytes.size());
    state_->write(bytes);
}

namespace {

void check_expected(const BlobInfo& made, const std::optional<BlobInfo>& expected) {
    if (!expected || made == *expected) return;
    throw CorruptData("a blob on its way into the store",
                      fmt::format("{} ({} bytes)", expected->digest.text(), expected->size),
                      fmt::format("{} ({} bytes)", made.digest.text(), made.size));
}

}  // namespace

BlobInfo BlobWriter::commit(const std::optional<BlobInfo>& expected) {
    // Taken out, so that the file goes when we leave.
    const std::unique_ptr<State> state = std::move(state_);
    IMGBUILD_ASSERT(state != nullptr);
    state->flush();
    IMGBUILD_ASSERT(state->hashed != State::Hashed::afterwards || expected);
    const BlobInfo made = state->info(expected);
    check_expected(made, expected);
    if (const auto known = state->hold->find_blob(made.digest)) return *known;

    StoreData& store = state->hold->store();
    const std::uint64_t disk = disk_use(state->path);
    // A file that is there by now is the same blob, or one without a row; the rename is right over both. If the commit
    // fails after it, the next sweep finds a blob without a row.
    store.index().write([&](Tables& tables) {
        tables.put_blob(made, disk);
        tables.pin_blob(state->hold->name(), made.digest);
        util::check(::rename(state->path.c_str(), store.blob_path(made.digest).c_str()), "put into place",
                    store.blob_path(made.digest));
    });
    store.written().add(made.digest, state->fd.get());
    return made;
}

}  // namespace imgbuild::layers
