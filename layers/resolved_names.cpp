// An entry is lines of text, then the two documents, then the sha256 of all before it:
//
//   imgbuild-resolved 1
//   <name>
//   <platform>
//   <seconds since 1970>
//   <digest of the index, or "-">
//   <media type of the manifest>
//   <bytes of the manifest> <bytes of the config>
#include "layers/resolved_names.hpp"

#include <imgbuild/error.hpp>

#include "layers/store_data.hpp"
#include "oci/image_config.hpp"
#include "oci/manifest.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr std::string_view kMagic = "imgbuild-resolved 1";
constexpr std::size_t kLongestLines = 16U << 10;
constexpr std::size_t kLargest = oci::kMaxManifestBytes + oci::kMaxConfigBytes + kLongestLines;
constexpr std::size_t kHexOfName = 40;
constexpr std::size_t kHexOfPlatform = 16;

std::string name_part(const std::string& name) {
    return util::Sha256::of(name).hex().substr(0, kHexOfName) + "-";
}

std::string checksum_of(std::string_view bytes) {
    const Digest digest = util::Sha256::of(bytes);
    return {reinterpret_cast<const char*>(digest.bytes().data()), digest.bytes().size()};
}

bool is_line(std::string_view text) {
    return !text.contains('\n');
}

// Takes the first line off; nothing if there is none.
std::optional<std::string_view> take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return line;
}

bool take(std::string_view& rest, std::string_view expected) {
    return take_line(rest) == expected;
}

std::optional<std::uint64_t> take_number(std::string_view& rest) {
    const auto line = take_line(rest);
    return line ? util::parse_number(*line) : std::nullopt;
}

std::string encode(const std::string& name, const std::string& platform, const ResolvedName& what) {
    std::string out = fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", kMagic, name, platform, what.time,
                                  what.index ? what.index->text() : "-", what.manifest.descriptor.media_type,
                                  what.manifest.bytes.size(), what.config.size());
    out += what.manifest.bytes;
    out += what.config;
    return out + checksum_of(out);
}

std::optional<ResolvedName> decode(std::string_view bytes, const std::string& name, const std::string& platform) {
    constexpr std::size_t kChecksum = 32;
    if (bytes.size() < kChecksum) return std::nullopt;
    std::string_view rest = bytes.substr(0, bytes.size() - kChecksum);
    if (checksum_of(rest) != bytes.substr(rest.size())) return std::nullopt;
    if (!take(rest, kMagic) || !take(rest, name) || !take(rest, platform)) return std::nullopt;

    const auto time = take_number(rest);
    const auto index = take_line(rest);
    const auto media_type = take_line(rest);
    const auto manifest_size = take_number(rest);
    const auto config_size = take_number(rest);
    if (!time || !index || !media_type || !manifest_size || !config_size) return std::nullopt;
    if (*manifest_size > rest.size() || *config_size != rest.size() - *manifest_size) return std::nullopt;
    ResolvedName out;
    out.time = static_cast<std::int64_t>(*time);
    out.index = Digest::parse(*index);
    out.manifest.bytes = rest.substr(0, *manifest_size);
    out.manifest.descriptor = oci::describe(*media_type, out.manifest.bytes);
    out.config = rest.substr(*manifest_size);
    return out;
}

void make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw IoError("make the directory", path, errno);
}

void remove_file(const std::string& path) {
    // Somebody else may have been first.
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw IoError("remove", path, errno);
}

std::int64_t time_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return 0;
    return status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
}

// Seldom does anything: a machine knows a few dozen names.
void drop_oldest(const std::string& directory, std::size_t kept) {
    const std::vector<std::string> names = names_in(directory);
    if (names.size() <= kept) return;
    std::vector<std::pair<std::int64_t, std::string>> by_age;
    for (const std::string& name : names) {
        std::string path = fmt::format("{}/{}", directory, name);
        const std::int64_t time = time_of(path);
        by_age.emplace_back(time, std::move(path));
    }
    std::sort(by_age.begin(), by_age.end());
    for (std::size_t i = 0; i < by_age.size() - kept; ++i) remove_file(by_age[i].second);
}

}  // namespace

std::string ResolvedNames::path_of(const std::string& name, const std::string& platform) const {
    return directory_ + "/" + name_part(name) + util::Sha256::of(platform).hex().substr(0, kHexOfPlatform);
}

std::optional<ResolvedName> ResolvedNames::find(const std::string& name, const std::string& platform) const {
    const std::string path = path_of(name, platform);
    if (::access(path.c_str(), F_OK) != 0) return std::nullopt;
    try {
        return decode(util::read_file(path, kLargest), name, platform);
    } catch (const IoError&) {
        // It went away meanwhile, or cannot be read. Not worth a word: asking the registry gives the same.
        return std::nullopt;
    }
}

void ResolvedNames::remember(const std::string& name, const std::string& platform, const ResolvedName& what) const {
    // A media type comes from outside. What does not fit into the form is not remembered.
    if (!is_line(name) || !is_line(platform) || !is_line(what.manifest.descriptor.media_type)) return;
    make_directory(directory_);
    util::AtomicFile file(path_of(name, platform), 0600);
    file.write(encode(name, platform, what));
    file.commit();
    drop_oldest(directory_, kMost);
}

void ResolvedNames::forget(const std::string& name) const {
    const std::string prefix = name_part(name);
    for (const std::string& file : names_in(directory_)) {
        if (file.starts_with(prefix)) remove_file(directory_ + "/" + file);
    }
}

}  // namespace imgbuild::layers
