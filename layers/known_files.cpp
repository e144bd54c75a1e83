// The form: a byte with its version, then for each file inode, size, mtime and ctime (8 bytes each), the digest, the
// length of the name (2 bytes) and the name. Numbers are as this machine has them: the store does not leave it.
#include "layers/known_files.hpp"

#include "util/assert.hpp"

#include <cstring>
#include <limits>

namespace imgbuild::layers {
namespace {

constexpr char kVersion = 1;

struct Head {
    std::uint64_t inode;
    std::uint64_t size;
    std::int64_t mtime;
    std::int64_t ctime;
    Digest::Bytes content;
};
static_assert(sizeof(Head) == 64);

using NameSize = std::uint16_t;

template <class T>
void append(std::string& to, const T& value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T value_at(const std::string& bytes, std::size_t at) {
    T out;
    std::memcpy(&out, bytes.data() + at, sizeof out);
    return out;
}

}  // namespace

void KnownFilesWriter::add(std::string_view name, const FileFingerprint& file, const Digest& content) {
    IMGBUILD_ASSERT(name.size() <= std::numeric_limits<NameSize>::max());
    if (bytes_.empty()) bytes_ += kVersion;
    append(bytes_, Head{.inode = file.inode,
                        .size = file.size,
                        .mtime = file.mtime,
                        .ctime = file.ctime,
                        .content = content.bytes()});
    append(bytes_, static_cast<NameSize>(name.size()));
    bytes_ += name;
}

KnownFiles::KnownFiles(std::uint64_t device, std::string bytes)
    : device_(device), bytes_(std::move(bytes)), next_(bytes_.starts_with(kVersion) ? 1 : bytes_.size()) {
    has_current_ = advance();
}

bool KnownFiles::advance() {
    constexpr std::size_t kFixed = sizeof(Head) + sizeof(NameSize);
    if (bytes_.size() - next_ < kFixed) return false;
    const Head head = value_at<Head>(bytes_, next_);
    name_size_ = value_at<NameSize>(bytes_, next_ + sizeof head);
    name_at_ = next_ + kFixed;
    if (bytes_.size() - name_at_ < name_size_) return false;
    file_ = {.device = device_, .inode = head.inode, .size = head.size, .mtime = head.mtime, .ctime = head.ctime};
    content_ = head.content;
    next_ = name_at_ + name_size_;
    return true;
}

std::optional<Digest> KnownFiles::find(std::string_view name, const FileFingerprint& file) {
    while (has_current_ && this->name() < name) has_current_ = advance();
    if (!has_current_ || this->name() != name || file_ != file) return std::nullopt;
    return Digest(content_);
}

}  // namespace imgbuild::layers
