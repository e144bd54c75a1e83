#include "builder/copy.hpp"

#include <imgbuild/error.hpp>

#include "builder/archive_output.hpp"
#include "builder/export.hpp"
#include "builder/packed_image.hpp"
#include "builder/send_image.hpp"
#include "layers/block_cutter.hpp"
#include "layers/decompress.hpp"
#include "oci/media_types.hpp"
#include "registry/docker_archive.hpp"
#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <utility>

namespace imgbuild::builder {
namespace {

using Kind = ImagePlace::Kind;

constexpr std::array<std::pair<std::string_view, Kind>, 5> kSchemes = {{{"store:", Kind::store},
                                                                        {"docker://", Kind::registry},
                                                                        {"oci:", Kind::oci_layout},
                                                                        {"oci-archive:", Kind::oci_archive},
                                                                        {"docker-archive:", Kind::docker_archive}}};

UsageError bad_place(std::string message, std::string hint) {
    return UsageError({.code = "usage.bad-place", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// An image that lies elsewhere, and who has its blobs.
struct Found {
    oci::ResolvedImage image;
    std::shared_ptr<oci::BlobSource> source;
    /// For messages.
    std::string shown;
};

std::string oci_type(const std::string& media_type) {
    if (const auto codec = oci::layer_codec(media_type)) return std::string(oci::layer_media_type(*codec));
    return std::string(oci::media_type::kConfig);
}

bool is_docker_manifest(const oci::Manifest& manifest) {
    return manifest.media_type == oci::media_type::kDockerManifest;
}

// The same image in OCI's words.
oci::Manifest as_oci(oci::Manifest manifest) {
    manifest.media_type = oci::media_type::kManifest;
    manifest.config.media_type = oci_type(manifest.config.media_type);
    for (oci::Descriptor& layer : manifest.layers) layer.media_type = oci_type(layer.media_type);
    return manifest;
}

class Copy {
public:
    Copy(const CopyRequest& request, const Services& services, std::stop_token stop)
        : request_(request),
          services_(services),
          lease_(services.store.begin_lease()),
          forms_(lease_, services.threads),
          work_{.stop = std::move(stop), .progress = services.progress} {}

    Digest run() {
        if (request_.from.kind == Kind::store) return from_store();
        const Found found = find();
        layers_of(found);
        if (request_.to.kind == Kind::store) return into_store(found.image);
        const PackedImage packed = pack(found);
        write(packed);
        return packed.descriptor.digest;
    }

private:
    Digest from_store() {
        const auto record = services_.store.find_image(store_name(request_.from.name));
        if (!record) {
            throw UsageError(
                {.code = "usage.no-such-image",
                 .message = fmt::format("there is no image {} in the store", util::quote(request_.from.name)),
                 .hint = "`imgbuild images` lists them",
                 .where = {}});
        }
        if (request_.to.kind == Kind::store) {
            services_.store.tag(record->id, Reference::parse(request_.to.name).text());
            return record->id;
        }
        const PackedImage packed =
            pack_image(load_image(*record, services_), forms_, {.codec = request_.codec}, services_.threads, work_);
        write(packed);
        return packed.descriptor.digest;
    }

    // An id stays what it is, a name gets its normal form.
    std::string store_name(const std::string& text) const {
        if (text.starts_with("sha256:")) return text;
        if (const auto by_name = services_.store.find_image(Reference::parse(text).text()))
            return Reference::parse(text).text();
        return text;
    }

    Found find() {
        const ImagePlace& from = request_.from;
        if (from.kind == Kind::registry) {
            const Reference reference = Reference::parse(from.name);
            auto image = services_.registry.resolve(reference, request_.platform, work_.stop);
            return {.image = std::move(image),
                    .source = std::make_shared<registry::Repository>(services_.registry, reference),
                    .shown = reference.familiar()};
        }
        const std::string path = from.kind == Kind::oci_layout ? from.path : plain_file(from.path);
        return in_context(fmt::format("reading {}", util::quote(from.path)), [&]() -> Found {
            if (from.kind == Kind::docker_archive) {
                auto archive = std::make_shared<registry::DockerArchive>(path);
                auto image = archive->resolve(from.name, request_.platform, work_.stop);
                return {.image = std::move(image), .source = archive, .shown = from.path};
            }
            auto layout = std::make_shared<registry::OciLayout>(from.kind == Kind::oci_archive
                                                                    ? registry::OciLayout::open_archive(path)
                                                                    : registry::OciLayout::open(path));
            auto image = layout->resolve(from.name, request_.platform, work_.stop);
            return {.image = std::move(image), .source = layout, .shown = from.path};
        });
    }

    // Archives are read at any place, so one from a pipe or a compressed one is written to the store's scratch first.
    std::string plain_file(const std::string& path) {
        util::Fd file = path == "-" ? util::Fd() : util::open_path(path, O_RDONLY);
        if (file && !is_compressed(file.get(), path)) return path;
        scratch_.emplace(lease_.begin_layer());
        std::string plain = scratch_->work() + "/archive.tar";
        util::FdSource source(file ? file.get() : STDIN_FILENO, path == "-" ? "standard input" : path);
        const auto content = layers::open_compressed(source);
        const util::Fd out = util::open_path(plain, O_WRONLY | O_CREAT | O_EXCL, 0600);
        util::FdSink sink(out.get(), plain);
        std::vector<std::byte> buffer(1U << 20);
        while (const std::size_t n = content->read(buffer)) {
            if (work_.stop.stop_requested()) throw Cancelled();
            sink.write(std::span(buffer).first(n));
        }
        return plain;
    }

    static bool is_compressed(int fd, const std::string& path) {
        std::array<std::byte, 512> head{};
        const std::size_t n = util::read_full(fd, head, path);
        util::check(static_cast<int>(::lseek(fd, 0, SEEK_SET)), "rewind", path);
        return layers::detect_compression(std::span(head).first(n)) != layers::Compression::none;
    }

    void layers_of(const Found& found) {
        const bool compress =
            request_.from.kind == Kind::docker_archive && request_.codec.kind != layers::Codec::Kind::none;
        const std::vector<DiffId>& diff_ids = found.image.config.diff_ids;
        fs_.base_layers = diff_ids.size();
        for (std::size_t i = 0; i < diff_ids.size(); ++i) {
            const oci::Descriptor& blob = found.image.manifest.layers.at(i);
            auto layer = std::make_shared<Layer>(diff_ids[i].digest());
            layer->diff_id = diff_ids[i];
            if (compress && oci::layer_codec(blob.media_type) == oci::LayerCodec::none) {
                compress_layer(*found.source, blob, diff_ids[i]);
            } else {
                layer->remote = RemoteLayer{.blob = blob, .source = found.source, .image = found.shown};
            }
            fs_.layers.push_back(std::move(layer));
        }
    }

    // Puts the compressed blob into the store as if it had come so.
    void compress_layer(oci::BlobSource& source, const oci::Descriptor& blob, const DiffId& diff_id) {
        if (lease_.find_form(diff_id, "")) return;
        class Cutting final : public util::Sink {
        public:
            explicit Cutting(layers::BlockCutter& cutter) : cutter_(cutter) {}
            void write(std::span<const std::byte> bytes) override {
                hash_.update(bytes);
                cutter_.write(bytes);
            }
            DiffId diff_id() const { return DiffId(hash_.digest()); }

        private:
            layers::BlockCutter& cutter_;
            util::Sha256 hash_;
        };
        layers::BlobWriter writer = lease_.begin_blob();
        layers::BlockCompressor compressor(request_.codec, writer, services_.threads);
        layers::BlockCutter cutter([&](layers::BlockCutter::Block block) { compressor.add(std::move(block)); });
        Cutting sink(cutter);
        source.fetch(blob, sink, work_.stop);
        if (const DiffId got = sink.diff_id(); got != diff_id) {
            throw CorruptData("the layer's tar", diff_id.text(), got.text());
        }
        cutter.finish();
        compressor.finish();
        lease_.record_form(
            diff_id,
            {.blob = writer.commit(), .media_type = std::string(request_.codec.media_type()), .codec_id = "pulled"});
    }

    Digest into_store(const oci::ResolvedImage& image) {
        forms_.ensure_trees(fs_, work_);
        Image kept{.id = image.manifest.config.digest,
                   .config = image.config,
                   .config_text = image.config_bytes,
                   .fs = fs_,
                   .time = image.config.created ? image.config.created->seconds : 0};
        const std::vector<Reference> names = {Reference::parse(request_.to.name)};
        keep_image(kept, names, services_.store, lease_);
        services_.store.settle();
        return kept.id;
    }

    PackedImage pack(const Found& found) {
        PackedImage out;
        out.manifest = found.image.manifest;
        out.manifest_text = found.image.manifest_bytes;
        out.descriptor = found.image.manifest_descriptor;
        out.config_text = found.image.config_bytes;
        bool anew = request_.to.kind != Kind::registry && is_docker_manifest(out.manifest);
        for (std::size_t i = 0; i < fs_.layers.size(); ++i) {
            Layer& layer = *fs_.layers[i];
            if (layer.remote) continue;
            const layers::BlobForm form = compressed_form(*layer.diff_id);
            out.manifest.layers[i].media_type = form.media_type;
            out.manifest.layers[i].digest = form.blob.digest;
            out.manifest.layers[i].size = form.blob.size;
            anew = true;
        }
        if (anew) {
            out.manifest = as_oci(std::move(out.manifest));
            out.manifest_text = out.manifest.to_json();
            out.descriptor = oci::describe(oci::media_type::kManifest, out.manifest_text);
            out.descriptor.platform = found.image.config.platform;
        }
        out.open_layer = [this](std::size_t i, const Work& part) {
            Layer& layer = *fs_.layers[i];
            const layers::BlobForm form =
                layer.remote ? forms_.fetch(*layer.remote, part) : compressed_form(*layer.diff_id);
            return lease_.open_blob(form.blob);
        };
        return out;
    }

    layers::BlobForm compressed_form(const DiffId& diff_id) {
        const auto form = lease_.find_form(diff_id, "");
        if (form) return *form;
        throw CorruptData({.code = "corrupt.missing-blob",
                           .message = fmt::format("the layer {} is no longer in the store", diff_id.text()),
                           .hint = "try again",
                           .where = {}});
    }

    void write(const PackedImage& packed) {
        const ImagePlace& to = request_.to;
        const std::vector<std::string> names =
            to.name.empty() ? std::vector<std::string>() : std::vector{layout_name(to)};
        switch (to.kind) {
            case Kind::registry:
                return push(packed);
            case Kind::oci_layout: {
                registry::OciLayoutWriter layout(to.path);
                return send_image(packed, layout, names, work_);
            }
            case Kind::oci_archive:
                return ArchiveOutput(to.path, registry::OciArchiveWriter::Docker::no, names).finish(packed, work_);
            case Kind::docker_archive:
                return ArchiveOutput(to.path, registry::OciArchiveWriter::Docker::yes, names).finish(packed, work_);
            case Kind::store:
                break;
        }
        std::unreachable();
    }

    // A tag stays a tag; whatever looks like a name is written as docker reads it.
    static std::string layout_name(const ImagePlace& to) {
        if (to.kind != Kind::docker_archive && to.name.find_first_of("/:") == std::string::npos) return to.name;
        return Reference::parse(to.name).text();
    }

    void push(const PackedImage& packed) {
        const Output output{.kind = Output::Kind::registry, .destination = {}};
        const std::vector<Reference> names = {Reference::parse(request_.to.name)};
        const MountFrom mount_from = [this](const std::string& domain) {
            std::vector<std::string> out;
            if (request_.from.kind != Kind::registry) return out;
            const Reference from = Reference::parse(request_.from.name);
            if (from.domain() == domain) out.push_back(from.path());
            return out;
        };
        begin_output(output, names, services_, mount_from)->finish(packed, work_);
    }

    const CopyRequest& request_;
    const Services& services_;
    layers::Lease lease_;
    LayerForms forms_;
    Work work_;
    std::optional<layers::UnfinishedLayer> scratch_;
    FileSystem fs_;
};

void check_place(const ImagePlace& place, std::string_view text) {
    const bool is_named = place.kind == Kind::store || place.kind == Kind::registry;
    if (is_named && place.name.empty()) throw bad_place(fmt::format("{} has no name", util::quote(text)), "");
    if (!is_named && place.path.empty()) throw bad_place(fmt::format("{} has no path", util::quote(text)), "");
}

}  // namespace

ImagePlace parse_image_place(std::string_view text) {
    for (const auto& [scheme, kind] : kSchemes) {
        if (!text.starts_with(scheme)) continue;
        const std::string_view rest = text.substr(scheme.size());
        ImagePlace out{.kind = kind, .path = {}, .name = {}};
        if (kind == Kind::store || kind == Kind::registry) {
            out.name = rest;
        } else {
            const std::size_t at = rest.find("@sha256:");
            const std::size_t end = std::min(at, rest.find(':'));
            out.path = rest.substr(0, end);
            if (end != std::string_view::npos) out.name = rest.substr(end + 1);
        }
        check_place(out, text);
        return out;
    }
    throw bad_place(
        fmt::format("{} does not say what kind of place it is", util::quote(text)),
        "write store:NAME, docker://NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]");
}

Digest copy_image(const CopyRequest& request, const Services& services, std::stop_token stop) {
    if (request.to.kind == Kind::registry || request.to.kind == Kind::store) {
        const Reference name = Reference::parse(request.to.name);
        if (name.digest()) {
            throw bad_place(fmt::format("the destination {} has a digest", util::quote(request.to.name)),
                            "a digest follows from the content; give a tag");
        }
    }
    return Copy(request, services, std::move(stop)).run();
}

}  // namespace imgbuild::builder
