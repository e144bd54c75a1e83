#include <imgbuild/error.hpp>

#include "oci/json_object.hpp"
#include "oci/manifest.hpp"
#include "registry/copy_blob.hpp"
#include "registry/layout_format.hpp"
#include "registry/oci_layout.hpp"
#include "util/bytes.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <cerrno>
#include <optional>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

// The directory itself is the lock, so that a layout holds nothing but what the specification puts there.
class DirectoryLock {
public:
    explicit DirectoryLock(const std::string& path) : directory_(util::open_path(path, O_RDONLY | O_DIRECTORY)) {
        int result;
        do {
            result = ::flock(directory_.get(), LOCK_EX);
        } while (result < 0 && errno == EINTR);
        util::check(result, "lock", path);
    }

private:
    util::Fd directory_;
};

std::optional<std::string> read_if_there(const std::string& path, std::size_t limit) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return std::nullopt;
        throw IoError("stat", path, errno);
    }
    return util::read_file(path, limit);
}

void publish(const std::string& path, std::string_view text) {
    util::AtomicFile file(path);
    file.write(text);
    file.commit();
}

}  // namespace

OciLayoutWriter::OciLayoutWriter(std::string path) : path_(std::move(path)) {
    util::make_directories(file(kBlobDirectory));
    const DirectoryLock lock(path_);
    const std::string marker = file(kLayoutFile);
    if (const auto text = read_if_there(marker, oci::kMaxManifestBytes)) {
        check_layout_marker(*text, util::quote(marker));
    } else {
        publish(marker, kLayoutMarker);
    }
}

bool OciLayoutWriter::has(const oci::Descriptor& blob, std::stop_token stop) {
    const std::string path = file(blob_file(blob.digest));
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return false;
        throw IoError("stat", path, errno);
    }
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != blob.size) return false;
    const util::Fd fd = util::open_path(path, O_RDONLY | O_NOFOLLOW);
    util::FdSource content(fd.get(), path);
    util::NullSink nowhere;
    try {
        copy_blob(blob, content, nowhere, util::quote(path), stop);
        return true;
    } catch (const CorruptData&) {
        return false;
    }
}

void OciLayoutWriter::put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) {
    if (has(blob, stop)) return;
    const auto content = open();
    store(blob, *content, stop);
}

void OciLayoutWriter::store(const oci::Descriptor& blob, util::Source& content, const std::stop_token& stop) const {
    const std::string path = file(blob_file(blob.digest));
    util::AtomicFile target(path);
    util::FdSink sink(target.fd(), path);
    copy_blob(blob, content, sink, fmt::format("blob {}", blob.digest.text()), stop);
    target.commit();
}

void OciLayoutWriter::put_manifest(const oci::Descriptor& manifest, std::string_view bytes,
                                   std::span<const std::string> tags, std::stop_token stop) {
    put(manifest, oci::open_text(std::string(bytes)), std::move(stop));
    update_index(manifest, tags);
}

void OciLayoutWriter::update_index(const oci::Descriptor& manifest, std::span<const std::string> tags) const {
    const DirectoryLock lock(path_);
    const std::string path = file(kIndexFile);
    json index = empty_layout_index();
    if (const auto text = read_if_there(path, oci::kMaxManifestBytes)) {
        // Read strictly, so that nothing broken is carried on; kept as JSON, so that nothing foreign is lost.
        oci::parse_index(*text);
        index = oci::parse_json(*text, oci::kMaxManifestBytes, util::quote(path), "corrupt.oci-layout");
    }
    list_in_index(index, manifest, tags);
    publish(path, oci::canonical_json(index));
}

}  // namespace imgbuild::registry
