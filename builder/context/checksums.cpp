#include "builder/context/checksums.hpp"

#include <imgbuild/error.hpp>

#include "builder/parallel.hpp"
#include "layers/fingerprint.hpp"
#include "util/assert.hpp"
#include "util/bytes.hpp"
#include "util/clock.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace imgbuild::builder {
namespace {

// Parts of files are never the user's.
util::Fd open_whole(const SourceTree& tree, const SourceFileInfo& file) {
    layers::OpenContent content = tree.open(file);
    IMGBUILD_ASSERT(!content.offset);
    return std::move(content.fd);
}

layers::FileFingerprint look_at(int fd, const std::string& path) {
    struct stat status {};
    util::check(::fstat(fd, &status), "look at", path);
    return layers::fingerprint_of(status);
}

Digest hash_file(int fd, const SourceFileInfo& file) {
    util::RegularFileSource source(fd, file.entry.path, file.entry.size);
    util::HashingSink sink;
    util::copy(source, sink);
    return sink.digest();
}

// Fills a prefix of `into`, which has a byte more than was seen of the file.
std::span<const std::byte> read_small(int fd, const SourceFileInfo& file, std::span<std::byte> into) {
    util::RegularFileSource source(fd, file.entry.path, file.entry.size);
    std::size_t done = 0;
    while (done < into.size()) {
        const std::size_t n = source.read(into.subspan(done));
        if (n == 0) break;
        done += n;
    }
    return into.first(done);
}

Digest digest_of(std::span<const std::byte> content) {
    util::Sha256 hash;
    hash.update(content);
    return hash.digest();
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
    /// `which` are the numbers of the files that are looked at; the other lists have all files.
    Batch(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files, std::span<const std::size_t> which,
          std::vector<Digest>& out, KeptContents* kept)
        : tree_(tree), files_(files), which_(which), out_(out), kept_(kept) {}

    void run(layers::Store& store, const std::stop_token& stop, std::int64_t read_at) {
        std::vector<layers::FileFingerprint> prints;
        for (const std::size_t number : which_) prints.push_back(print_of(*files_[number]));
        const std::vector<std::optional<Digest>> known = store.find_checksums(prints);
        if (kept_ != nullptr) memory_ = kept_->allocate(bytes_to_keep(known));
        std::vector<Remembered> fresh;
        for (std::size_t i = 0; i < which_.size(); ++i) {
            if (stop.stop_requested()) throw Cancelled();
            if (known[i]) {
                out_[which_[i]] = *known[i];
            } else if (const auto read = hash(which_[i], prints[i])) {
                fresh.push_back(*read);
            }
        }
        if (!fresh.empty()) store.remember_checksums(fresh, read_at);
    }

private:
    layers::FileFingerprint print_of(const SourceFileInfo& file) const {
        return file.seen ? *file.seen : look_at(open_whole(tree_, file).get(), file.entry.path);
    }

    static bool is_worth_keeping(const SourceFileInfo& file) {
        return file.seen && file.entry.size <= KeptContents::kSmall;
    }
    static std::size_t memory_for(const SourceFileInfo& file) { return file.entry.size + 1; }

    std::size_t bytes_to_keep(const std::vector<std::optional<Digest>>& known) const {
        std::size_t out = 0;
        for (std::size_t i = 0; i < which_.size(); ++i) {
            const SourceFileInfo& file = *files_[which_[i]];
            if (!known[i] && is_worth_keeping(file)) out += memory_for(file);
        }
        return out;
    }

    // A file that changed while it was read has a digest that belongs to no state of it.
    std::optional<Remembered> hash(std::size_t number, const layers::FileFingerprint& before) {
        const SourceFileInfo& file = *files_[number];
        const util::Fd fd = open_whole(tree_, file);
        const bool keeps = !memory_.empty() && is_worth_keeping(file);
        std::span<const std::byte> content;
        if (keeps) {
            content = read_small(fd.get(), file, memory_.first(memory_for(file)));
            memory_ = memory_.subspan(memory_for(file));
        }
        out_[number] = keeps ? digest_of(content) : hash_file(fd.get(), file);
        if (look_at(fd.get(), file.entry.path) == before) {
            if (keeps) kept_->keep(number, content);
            return Remembered(before, out_[number]);
        }
        if (file.seen) throw changed_source(file.entry.path);
        return std::nullopt;
    }

    const SourceTree& tree_;
    const std::vector<const SourceFileInfo*>& files_;
    std::span<const std::size_t> which_;
    std::vector<Digest>& out_;
    KeptContents* kept_;
    /// For contents, what is left of it.
    std::span<std::byte> memory_;
};

// In pieces, so that what was read is remembered even if the build ends in the middle, and so that some are read while
// the index takes what another holds. A large file is a piece of its own.
std::vector<std::span<const std::size_t>> batches_of(const std::vector<std::size_t>& which,
                                                     const std::vector<const SourceFileInfo*>& files) {
    constexpr std::size_t kFiles = 1024;
    constexpr std::uint64_t kBytes = 4U << 20;
    std::vector<std::span<const std::size_t>> out;
    std::size_t begin = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < which.size(); ++i) {
        bytes += files[which[i]]->entry.size;
        if (i + 1 < which.size() && i + 1 - begin < kFiles && bytes < kBytes) continue;
        out.push_back(std::span(which).subspan(begin, i + 1 - begin));
        begin = i + 1;
        bytes = 0;
    }
    return out;
}

}  // namespace

std::vector<Digest> content_checksums(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files,
                                      layers::Store& store, unsigned threads, const Work& work, KeptContents* kept) {
    const std::int64_t read_at = util::now_ns();
    std::vector<Digest> out(files.size());
    std::vector<std::size_t> unknown;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (files[i]->content) {
            out[i] = *files[i]->content;
        } else {
            unknown.push_back(i);
        }
    }
    if (unknown.empty()) return out;
    const auto batches = batches_of(unknown, files);
    in_parallel(batches.size(), threads, work.stop, [&](std::size_t i, const std::stop_token& stop) {
        Batch(tree, files, batches[i], out, kept).run(store, stop, read_at);
    });
    std::vector<const SourceFileInfo*> learnt;
    std::vector<Digest> contents;
    for (const std::size_t number : unknown) {
        learnt.push_back(files[number]);
        contents.push_back(out[number]);
    }
    tree.learn(learnt, contents);
    return out;
}

void require_unchanged(const SourceTree& tree, const SourceFileInfo& file, int fd, const Digest& checksum,
                       std::int64_t read_at) {
    if (!file.seen) return;
    if (look_at(fd, file.entry.path) != *file.seen) throw changed_source(file.entry.path);
    if (layers::would_show_a_change(*file.seen, read_at)) return;
    const util::Fd again = open_whole(tree, file);
    if (hash_file(again.get(), file) != checksum) throw changed_source(file.entry.path);
}

}  // namespace imgbuild::builder
