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

// What the store knows, and what has to be read: descriptors are only opened for that. One thread's work.
class Batch {
public:
    Batch(const SourceTree& tree, std::span<const SourceFileInfo* const> files, std::span<Digest> out)
        : tree_(tree), files_(files), out_(out) {}

    void run(layers::Store& store, const std::stop_token& stop, std::int64_t read_at) {
        std::vector<layers::FileFingerprint> prints;
        for (std::size_t i = 0; i < files_.size(); ++i) prints.push_back(print_of(i));
        const std::vector<std::optional<Digest>> known = store.find_checksums(prints);
        std::vector<Remembered> fresh;
        for (std::size_t i = 0; i < files_.size(); ++i) {
            if (stop.stop_requested()) throw Cancelled();
            if (known[i]) {
                out_[i] = *known[i];
            } else if (const auto read = hash(i, prints[i])) {
                fresh.push_back(*read);
            }
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

// In pieces, so that what was read is remembered even if the build ends in the middle, and so that some are read while
// the index takes what another holds. A large file is a piece of its own.
std::vector<std::size_t> ends_of_batches(const std::vector<const SourceFileInfo*>& files) {
    constexpr std::size_t kFiles = 1024;
    constexpr std::uint64_t kBytes = 4U << 20;
    std::vector<std::size_t> out;
    std::size_t begin = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
        bytes += files[i]->entry.size;
        if (i + 1 < files.size() && i + 1 - begin < kFiles && bytes < kBytes) continue;
        out.push_back(i + 1);
        begin = i + 1;
        bytes = 0;
    }
    return out;
}

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
    const std::vector<std::size_t> ends = ends_of_batches(unknown);
    in_parallel(ends.size(), threads, work.stop, [&](std::size_t which, const std::stop_token& stop) {
        const std::size_t begin = which == 0 ? 0 : ends[which - 1];
        const std::size_t count = ends[which] - begin;
        Batch(tree, std::span(unknown).subspan(begin, count), std::span(found).subspan(begin, count))
            .run(store, stop, read_at);
    });
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
