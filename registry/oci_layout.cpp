#include "registry/oci_layout.hpp"

#include <imgbuild/error.hpp>

#include "oci/manifest.hpp"
#include "registry/copy_blob.hpp"
#include "registry/layout_format.hpp"
#include "util/bytes.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::registry {
namespace {

constexpr std::size_t kMaxMarkerBytes = 4096;

std::string annotation(const oci::Descriptor& entry, std::string_view key) {
    const auto found = entry.annotations.find(key);
    return found == entry.annotations.end() ? std::string() : found->second;
}

bool has_name(const oci::Descriptor& entry, std::string_view name) {
    return annotation(entry, kRefName) == name || annotation(entry, kContainerdName) == name;
}

[[noreturn]] void throw_no_image(const std::string& path, std::string_view selector, const oci::Index& index) {
    std::vector<std::string> names;
    for (const oci::Descriptor& entry : index.manifests) {
        const std::string name = annotation(entry, kRefName);
        names.push_back(util::quote(name.empty() ? entry.digest.text() : name));
    }
    throw RegistryError(
        {.code = "registry.no-such-image",
         .message =
             selector.empty()
                 ? fmt::format("the OCI layout {} has {} images; which one?", util::quote(path), index.manifests.size())
                 : fmt::format("the OCI layout {} has no image {}", util::quote(path), util::quote(selector)),
         .hint = names.empty() ? "index.json lists none" : fmt::format("there are: {}", fmt::join(names, ", ")),
         .where = {}},
        0, RegistryError::Retry::no);
}

bool all_have_platforms(const oci::Index& index) {
    return std::all_of(index.manifests.begin(), index.manifests.end(),
                       [](const oci::Descriptor& entry) { return entry.platform.has_value(); });
}

bool all_are_one(const oci::Index& index) {
    return !index.manifests.empty() &&
           std::all_of(index.manifests.begin(), index.manifests.end(),
                       [&](const oci::Descriptor& entry) { return entry.digest == index.manifests.front().digest; });
}

// The last entry wins: tools that do not know names append.
std::optional<oci::Descriptor> find_named(const oci::Index& index, std::string_view name) {
    std::optional<oci::Descriptor> found;
    for (const oci::Descriptor& entry : index.manifests) {
        if (has_name(entry, name)) found = entry;
    }
    return found;
}

std::optional<oci::Descriptor> find_only(const oci::Index& index, const Platform& wanted) {
    if (all_are_one(index)) return index.manifests.front();
    if (auto latest = find_named(index, "latest")) return latest;
    return all_have_platforms(index) ? oci::select_platform(index, wanted) : std::nullopt;
}

}  // namespace

OciLayout::OciLayout(std::string path, std::unique_ptr<ImageFiles> files)
    : path_(std::move(path)), files_(std::move(files)) {
    const auto marker = files_->read(kLayoutFile, kMaxMarkerBytes);
    if (!marker) {
        throw CorruptData(
            {.code = "corrupt.oci-layout",
             .message = fmt::format("{} is no OCI layout: it has no file 'oci-layout'", util::quote(path_)),
             .hint = "make one with `skopeo copy … oci:DIR` or `imgbuild build -o type=oci,tar=false,dest=DIR`",
             .where = {}});
    }
    check_layout_marker(*marker, fmt::format("'oci-layout' in {}", util::quote(path_)));
}

OciLayout OciLayout::open(const std::string& path) {
    return {path, std::make_unique<DirectoryFiles>(path)};
}

OciLayout OciLayout::open_archive(const std::string& path) {
    return {path, std::make_unique<TarFiles>(path)};
}

oci::Index OciLayout::read_index() const {
    const auto text = files_->read(kIndexFile, oci::kMaxManifestBytes);
    if (!text) {
        throw CorruptData({.code = "corrupt.oci-layout",
                           .message = fmt::format("the OCI layout {} has no 'index.json'", util::quote(path_)),
                           .hint = {},
                           .where = {}});
    }
    return in_context(fmt::format("reading 'index.json' of {}", util::quote(path_)),
                      [&] { return oci::parse_index(*text); });
}

void OciLayout::fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) {
    const auto content = files_->open(blob_file(blob.digest));
    copy_blob(blob, *content, into, fmt::format("blob {} in {}", blob.digest.text(), util::quote(path_)), stop);
}

oci::Descriptor OciLayout::describe_blob(const Digest& digest) const {
    return {.media_type = {}, .digest = digest, .size = files_->size_of(blob_file(digest)).value()};
}

oci::Descriptor OciLayout::find_image(std::string_view selector, const Platform& wanted) const {
    const oci::Index index = read_index();
    std::optional<oci::Descriptor> found;
    if (selector.empty()) {
        found = find_only(index, wanted);
    } else if (const auto digest = Digest::parse(selector)) {
        const auto listed = std::find_if(index.manifests.begin(), index.manifests.end(),
                                         [&](const oci::Descriptor& entry) { return entry.digest == *digest; });
        if (listed != index.manifests.end()) return *listed;
        if (files_->size_of(blob_file(*digest))) return describe_blob(*digest);
    } else {
        found = find_named(index, selector);
    }
    if (!found) throw_no_image(path_, selector, index);
    return *found;
}

oci::ResolvedImage OciLayout::resolve(std::string_view selector, const Platform& wanted, std::stop_token stop) {
    const oci::Descriptor image = find_image(selector, wanted);
    return in_context(fmt::format("reading the OCI layout {}", util::quote(path_)), [&] {
        const auto fetch_manifest = [&](const oci::Descriptor& manifest) {
            return oci::fetch_document(*this, manifest, oci::kMaxManifestBytes, stop);
        };
        return oci::resolve_image({image, fetch_manifest(image)}, wanted, *this, fetch_manifest, stop);
    });
}

}  // namespace imgbuild::registry
