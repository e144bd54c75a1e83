#include "layers/written_blobs.hpp"

#include "layers/fingerprint.hpp"
#include "util/fd.hpp"

#include <sys/stat.h>

namespace imgbuild::layers {
namespace {

FileFingerprint fingerprint_of_file(int fd, const Digest& digest) {
    struct stat status {};
    util::check(::fstat(fd, &status), "look at", digest.text());
    return fingerprint_of(status);
}

}  // namespace

void WrittenBlobs::add(const Digest& digest, int fd) {
    const FileFingerprint file = fingerprint_of_file(fd, digest);
    const std::lock_guard lock(mutex_);
    files_.insert_or_assign(digest, file);
}

bool WrittenBlobs::has(const Digest& digest, int fd) const {
    const FileFingerprint file = fingerprint_of_file(fd, digest);
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(digest);
    return found != files_.end() && found->second == file;
}

}  // namespace imgbuild::layers
