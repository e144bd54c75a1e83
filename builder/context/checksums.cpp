#include "builder/context/checksums.hpp"

#include <imgbuild/error.hpp>

#include "builder/parallel.hpp"
#include "layers/fingerprint.hpp"
#include "util/bytes.hpp"
#include "util/clock.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <span>

namespace imgbuild::builder {
namespace {

layers::FileFingerprint look_at(int fd, const std::string& path) {
    struct stat status {};
    util::check(::fstat(fd, &status), "look at", path);
    return layers::fingerprint_of(status);
}

Digest hash_file(int fd, const std::string& path) {
    util::FdSource source(fd, path);
    util::HashingSink sink;
    util::copy(source, sink);
    return sink.digest();
}

Error changed_source(const std::string& path) {
    return Error({.code = "source.changed",
                  .message = fmt::format("{} changed while it was being copied", util::quote(path)),
                  .hint = "build again when nothing writes to it, or exclude it in .dockerignore",
                  .where = {}});
}

using Remembered = std::pair<layers::FileFingerprint, Digest>;

// What the store knows, and what has to be read: descriptors are only opened for that.
class Batch {
public:
    Batch(const SourceTree& tree, std::span<const SourceFileInfo* const> files, std::span<Digest> out)
        : tree_(tree), files_(files), out_(out) {}

    void run(layers::Store& store, unsigned threads, const Work& work, std::int64_t read_at) {
        std::vector<layers::FileFingerprint> prints;
        for (std::size_t i = 0; i < files_.size(); ++i) prints.push_back(print_of(i));
        const std::vector<std::optional<Digest>> known = store.find_checksums(prints);
        std::vector<std::size_t> missing;
        for (std::size_t i = 0; i < files_.size(); ++i) {
            if (known[i]) {
                out_[i] = *known[i];
            } else {
                missing.push_back(i);
            }
        }
        std::vector<std::optional<Remembered>> read(missing.size());
        in_parallel(missing.size(), threads, work.stop,
                    [&](std::size_t at, const std::stop_token&) { read[at] = hash(missing[at], prints[missing[at]]); });
        std::vector<Remembered> fresh;
        for (const auto& one : read) {
            if (one) fresh.push_back(*one);
        }
        if (!fresh.empty()) store.remember_checksums(fresh, read_at);
    }

private:
    layers::FileFingerprint print_of(std::size_t i) const {
        const SourceFileInfo& file = *files_[i];
        return file.seen ? *file.seen : look_at(tree_.open(file).get(), file.entry.path);
    }

    // A file that changed while it was read has a digest that belongs to no state of it.
    std::optional<Remembered> hash(std::size_t i, const layers::FileFingerprint& before) {
        const SourceFileInfo& file = *files_[i];
        const util::Fd fd = tree_.open(file);
        out_[i] = hash_file(fd.get(), file.entry.path);
        if (look_at(fd.get(), file.entry.path) == before) return Remembered(before, out_[i]);
        if (file.seen) throw changed_source(file.entry.path);
        return std::nullopt;
    }

    const SourceTree& tree_;
    std::span<const SourceFileInfo* const> files_;
    std::span<Digest> out_;
};

}  // namespace

std::vector<Digest> content_checksums(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files,
                                      layers::Store& store, unsigned threads, const Work& work) {
    const std::int64_t read_at = util::now_ns();
    std::vector<Digest> out(files.size());
    std::vector<const SourceFileInfo*> unknown;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (files[i]->content) {
            out[i] = *files[i]->content;
        } else {
            unknown.push_back(files[i]);
        }
    }
    if (unknown.empty()) return out;
    std::vector<Digest> found(unknown.size());
    // In batches, so that what was read is remembered even if the build ends in the middle.
    constexpr std::size_t kBatch = 4096;
    for (std::size_t begin = 0; begin < unknown.size(); begin += kBatch) {
        const std::size_t count = std::min(kBatch, unknown.size() - begin);
        Batch(tree, std::span(unknown).subspan(begin, count), std::span(found).subspan(begin, count))
            .run(store, threads, work, read_at);
    }
    tree.learn(unknown, found);
    std::size_t next = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (!files[i]->content) out[i] = found[next++];
    }
    return out;
}

void require_unchanged(const SourceTree& tree, const SourceFileInfo& file, int fd, const Digest& checksum,
                       std::int64_t read_at) {
    if (!file.seen) return;
    if (look_at(fd, file.entry.path) != *file.seen) throw changed_source(file.entry.path);
    if (layers::would_show_a_change(*file.seen, read_at)) return;
    const util::Fd again = tree.open(file);
    if (hash_file(again.get(), file.entry.path) != checksum) throw changed_source(file.entry.path);
}

}  // namespace imgbuild::builder
