#include "registry/docker_archive.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "oci/json_object.hpp"
#include "oci/media_types.hpp"
#include "registry/copy_blob.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace imgbuild::registry {
namespace {

using nlohmann::json;

constexpr std::string_view kCode = "corrupt.docker-archive";
constexpr std::size_t kMostImages = 4096;

std::string normal_name(std::string_view name) {
    try {
        return Reference::parse(name).text();
    } catch (const UsageError&) {
        return std::string(name);  // equal to nothing but itself
    }
}

DockerArchive::Image parse_image(const json& value, const std::string& what) {
    oci::JsonObject object(value, what, std::string(kCode));
    DockerArchive::Image out;
    out.config = object.required_text("Config");
    out.names = object.strings("RepoTags").value_or(std::vector<std::string>());
    out.layers = object.strings("Layers").value_or(std::vector<std::string>());
    if (out.layers.size() > oci::kMaxLayers) object.fail("it has too many layers");
    return out;
}

std::string_view layer_type(util::Source& content) {
    std::array<std::byte, 4> head{};
    std::size_t have = 0;
    while (have < head.size()) {
        const std::size_t n = content.read(std::span(head).subspan(have));
        if (n == 0) break;
        have += n;
    }
    const std::string_view text(reinterpret_cast<const char*>(head.data()), have);
    if (text.starts_with("\x1f\x8b")) return oci::media_type::kLayerGzip;
    if (text.starts_with("\x28\xb5\x2f\xfd")) return oci::media_type::kLayerZstd;
    return oci::media_type::kLayerTar;
}

Digest digest_of(util::Source& content, const std::stop_token& stop) {
    util::Sha256 hash;
    std::vector<std::byte> buffer(256U << 10);
    while (const std::size_t n = content.read(buffer)) {
        if (stop.stop_requested()) throw Cancelled();
        hash.update(std::span(buffer).first(n));
    }
    return hash.digest();
}

}  // namespace

DockerArchive::DockerArchive(const std::string& path) : path_(path), files_(path) {
    const auto text = files_.read(kDockerManifestFile, oci::kMaxManifestBytes);
    if (!text) {
        throw CorruptData(
            {.code = std::string(kCode),
             .message = fmt::format("{} is no docker archive: it has no file 'manifest.json'", util::quote(path_)),
             .hint = "`docker save` and `imgbuild build -o type=docker,dest=FILE` write such archives",
             .where = {}});
    }
    const std::string what = fmt::format("'manifest.json' in {}", util::quote(path_));
    const json document = oci::parse_json(*text, oci::kMaxManifestBytes, what, kCode);
    if (!document.is_array() || document.size() > kMostImages) {
        throw CorruptData(
            {.code = std::string(kCode), .message = what + " is no list of images", .hint = {}, .where = {}});
    }
    for (const json& image : document) images_.push_back(parse_image(image, what));
}

const DockerArchive::Image& DockerArchive::find(std::string_view name) const {
    if (name.empty() && images_.size() == 1) return images_.front();
    const std::string wanted = normal_name(name);
    std::vector<std::string> there_are;
    for (const Image& image : images_) {
        for (const std::string& own : image.names) {
            if (!name.empty() && normal_name(own) == wanted) return image;
            there_are.push_back(util::quote(own));
        }
    }
    throw RegistryError(
        {.code = "registry.no-such-image",
         .message = name.empty()
                        ? fmt::format("the archive {} has {} images; which one?", util::quote(path_), images_.size())
                        : fmt::format("the archive {} has no image {}", util::quote(path_), util::quote(name)),
         .hint = there_are.empty() ? "none of its images has a name"
                                   : fmt::format("there are: {}", fmt::join(there_are, ", ")),
         .where = {}},
        0, RegistryError::Retry::no);
}

oci::Descriptor DockerArchive::describe_layer(const std::string& file, const DiffId& diff_id,
                                              const std::stop_token& stop) {
    oci::Descriptor out;
    out.media_type = layer_type(*files_.open(file));
    // A plain layer is what the config says it is, or the copy will fail; the others are to be seen.
    const bool is_plain = out.media_type == oci::media_type::kLayerTar;
    out.digest = is_plain ? diff_id.digest() : digest_of(*files_.open(file), stop);
    out.size = files_.size_of(file).value();
    places_.insert_or_assign(out.digest, file);
    return out;
}

oci::ResolvedImage DockerArchive::resolve(std::string_view name, const Platform& wanted, std::stop_token stop) {
    const Image& image = find(name);
    return in_context(fmt::format("reading the archive {}", util::quote(path_)), [&] {
        const auto config = files_.read(image.config, oci::kMaxConfigBytes);
        if (!config) {
            throw CorruptData({.code = std::string(kCode),
                               .message = fmt::format("there is no config {}", util::quote(image.config)),
                               .hint = {},
                               .where = {}});
        }
        const oci::ImageConfig parsed = oci::parse_image_config(*config);
        if (parsed.diff_ids.size() != image.layers.size()) {
            throw CorruptData({.code = std::string(kCode),
                               .message = fmt::format("the image has {} layers, but its config has {}",
                                                      image.layers.size(), parsed.diff_ids.size()),
                               .hint = {},
                               .where = {}});
        }
        oci::Manifest manifest;
        manifest.media_type = oci::media_type::kManifest;
        manifest.config = oci::describe(oci::media_type::kConfig, *config);
        places_.insert_or_assign(manifest.config.digest, image.config);
        for (std::size_t i = 0; i < image.layers.size(); ++i) {
            manifest.layers.push_back(describe_layer(image.layers[i], parsed.diff_ids[i], stop));
        }
        const std::string text = manifest.to_json();
        oci::Document root{.descriptor = oci::describe(oci::media_type::kManifest, text), .bytes = text};
        oci::ResolvedImage resolved = oci::resolve_image(
            std::move(root), wanted, *this, [](const oci::Descriptor&) { return std::string(); }, stop);
        return resolved;
    });
}

void DockerArchive::fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) {
    const auto place = places_.find(blob.digest);
    const std::string what = fmt::format("blob {} in {}", blob.digest.text(), util::quote(path_));
    if (place == places_.end()) {
        throw CorruptData({.code = "corrupt.missing-blob", .message = what + " is not there", .hint = {}, .where = {}});
    }
    const auto content = files_.open(place->second);
    copy_blob(blob, *content, into, what, stop);
}

}  // namespace imgbuild::registry
