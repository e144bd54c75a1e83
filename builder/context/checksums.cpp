#include "builder/context/checksums.hpp"

#include <imgbuild/error.hpp>

#include "builder/parallel.hpp"
#include "util/bytes.hpp"

#include <sys/stat.h>
#include <chrono>

namespace imgbuild::builder {
namespace {

constexpr std::int64_t kNanoseconds = 1'000'000'000;

std::int64_t nanoseconds(const timespec& time) {
    return time.tv_sec * kNanoseconds + time.tv_nsec;
}

layers::FileFingerprint fingerprint(const struct stat& status) {
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .mtime = nanoseconds(status.st_mtim),
            .ctime = nanoseconds(status.st_ctim)};
}

struct stat look_at(int fd, const std::string& path) {
    struct stat status {};
    util::check(::fstat(fd, &status), "look at", path);
    return status;
}

Digest hash_file(int fd, const std::string& path) {
    util::FdSource source(fd, path);
    util::HashingSink sink;
    util::copy(source, sink);
    return sink.digest();
}

}  // namespace

std::vector<Digest> content_checksums(const SourceTree& tree, const std::vector<const SourceFileInfo*>& files,
                                      layers::Store& store, unsigned threads, const Work& work) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t read_at = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    std::vector<util::Fd> open;
    std::vector<layers::FileFingerprint> prints;
    std::vector<Digest> out(files.size());

    // In batches, so that no more descriptors are open than any machine allows.
    constexpr std::size_t kBatch = 256;
    for (std::size_t begin = 0; begin < files.size(); begin += kBatch) {
        const std::size_t count = std::min(kBatch, files.size() - begin);
        open.clear();
        prints.clear();
        for (std::size_t i = 0; i < count; ++i) {
            open.push_back(tree.open(*files[begin + i]));
            prints.push_back(fingerprint(look_at(open.back().get(), files[begin + i]->entry.path)));
        }
        const std::vector<std::optional<Digest>> known = store.find_checksums(prints);
        std::vector<std::size_t> missing;
        for (std::size_t i = 0; i < count; ++i) {
            if (known[i]) {
                out[begin + i] = *known[i];
            } else {
                missing.push_back(i);
            }
        }
        in_parallel(missing.size(), threads, work.stop, [&](std::size_t at, const std::stop_token&) {
            const std::size_t i = missing[at];
            out[begin + i] = hash_file(open[i].get(), files[begin + i]->entry.path);
        });
        std::vector<std::pair<layers::FileFingerprint, Digest>> fresh;
        for (const std::size_t i : missing) {
            // A file that changed while it was read has a digest that belongs to no state of it.
            const auto after = fingerprint(look_at(open[i].get(), files[begin + i]->entry.path));
            if (after == prints[i]) fresh.emplace_back(after, out[begin + i]);
        }
        if (!fresh.empty()) store.remember_checksums(fresh, read_at);
    }
    return out;
}

}  // namespace imgbuild::builder
