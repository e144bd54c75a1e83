#include "builder/export.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "builder/rootfs.hpp"
#include "registry/oci_layout.hpp"
#include "registry/repository.hpp"
#include "util/assert.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <map>

namespace imgbuild::builder {
namespace {

// Repositories with the tags that the image gets there, in the order in which they were named first.
struct Target {
    Reference name;
    std::vector<std::string> tags;
};

std::vector<Target> targets_of(std::span<const Reference> names) {
    std::vector<Target> out;
    for (const Reference& name : names) {
        const auto known = std::find_if(out.begin(), out.end(), [&](const Target& target) {
            return target.name.repository() == name.repository();
        });
        Target& target = known != out.end() ? *known : out.emplace_back(Target{.name = name, .tags = {}});
        target.tags.push_back(name.tag());
    }
    return out;
}

// Blobs go once to each repository; the second one on a registry mounts those of the first.
void push(const PackedImage& image, const Output& output, std::span<const Reference> names, const Services& services,
          const std::function<std::vector<std::string>(const std::string&)>& mount_from, const Work& work) {
    // What other builders do as well; more gains nothing and annoys registries.
    constexpr unsigned kBlobsAtOnce = 4;
    const layers::ResolvedNames memory(services.store.root());
    std::multimap<std::string, std::string> pushed;
    for (const Target& target : targets_of(names)) {
        in_context(fmt::format("pushing {}", util::quote(target.name.familiar())), [&] {
            const std::string& domain = target.name.domain();
            std::vector<std::string> sources;
            for (auto [at, end] = pushed.equal_range(domain); at != end; ++at) sources.push_back(at->second);
            for (std::string& base : mount_from(domain)) {
                if (std::find(sources.begin(), sources.end(), base) == sources.end())
                    sources.push_back(std::move(base));
            }
            std::erase(sources, target.name.path());
            registry::Repository repository(services.registry, target.name, std::move(sources));
            const std::vector<std::string> tags = output.by_digest ? std::vector<std::string>{} : target.tags;
            send_image(image, repository, tags, work, kBlobsAtOnce);
            pushed.emplace(domain, target.name.path());
            for (const Reference& name : names) {
                if (name.repository() == target.name.repository()) memory.forget(name.text());
            }
        });
    }
}

// In no form here, though it can be fetched.
bool is_left_behind(const Layer& layer, layers::Lease& lease) {
    if (!layer.remote || layer.remote->repository.empty() || layer.id) return false;
    return !lease.find_layer(*layer.diff_id) && !lease.find_form(*layer.diff_id, "");
}

// "linux_arm_v7", as buildx names it.
std::string folder_of(const Platform& platform) {
    std::string out = platform.text();
    std::replace(out.begin(), out.end(), '/', '_');
    return out;
}

}  // namespace

std::vector<std::string> texts_of(std::span<const Reference> names) {
    std::vector<std::string> out;
    for (const Reference& name : names) out.push_back(name.text());
    return out;
}

std::unique_ptr<ArchiveFile> begin_archive(const Output& output) {
    using Docker = registry::OciArchiveWriter::Docker;
    if (output.kind == Output::Kind::oci_archive) {
        return std::make_unique<ArchiveFile>(output.destination, Docker::no);
    }
    if (output.kind == Output::Kind::docker_archive) {
        return std::make_unique<ArchiveFile>(output.destination, Docker::yes);
    }
    return nullptr;
}

void write_output(const Output& output, const PackedImage& image, std::span<const Reference> names,
                  const Services& services,
                  const std::function<std::vector<std::string>(const std::string&)>& mount_from, const Work& work) {
    switch (output.kind) {
        case Output::Kind::oci_archive:
        case Output::Kind::docker_archive:
            return begin_archive(output)->finish(image, texts_of(names), work);
        case Output::Kind::oci_layout: {
            registry::OciLayoutWriter layout(output.destination);
            send_image(image, layout, texts_of(names), work);
            return;
        }
        case Output::Kind::registry:
            push(image, output, names, services, mount_from, work);
            return;
        case Output::Kind::image:
        case Output::Kind::cacheonly:
        case Output::Kind::local:
        case Output::Kind::tar:
            break;
    }
    IMGBUILD_ASSERT(false && "an output without a manifest");
}

void write_files(const Output& output, const FileSystem& fs, const Platform& platform, LayerForms& forms,
                 const Work& work) {
    const ChainTree tree(forms.view(fs, work), forms.trees(fs, work));
    const std::string folder = output.platform_folder ? folder_of(platform) : "";
    if (output.kind == Output::Kind::local) {
        if (!folder.empty()) util::make_directories(output.destination);
        const std::string& to = output.destination;
        write_rootfs_directory(tree, folder.empty() ? to : to + "/" + folder, work.stop);
        return;
    }
    if (output.destination == "-") {
        util::FdSink sink(STDOUT_FILENO, "standard output");
        write_rootfs_tar(tree, folder, sink, work.stop);
        return;
    }
    util::AtomicFile file(output.destination);
    util::FdSink sink(file.fd(), output.destination);
    write_rootfs_tar(tree, folder, sink, work.stop);
    file.commit();
}

void keep_image(const Image& image, std::span<const Reference> names, layers::Store& store, layers::Lease& lease) {
    layers::ImageRecord record;
    record.id = image.id;
    record.config = image.config_text;
    record.diff_ids = image.config.diff_ids;
    record.created = image.time;
    for (const LayerPtr& layer : image.fs.layers) {
        const std::lock_guard lock(layer->mutex);
        if (layer->id) record.size += lease.facts(*layer->id).tar_size;
        if (is_left_behind(*layer, lease)) {
            store.remember_remote(*layer->diff_id,
                                  {.repository = layer->remote->repository,
                                   .blob = {.digest = layer->remote->blob.digest, .size = layer->remote->blob.size},
                                   .media_type = layer->remote->blob.media_type});
        }
    }
    std::vector<std::string> texts;
    for (const Reference& name : names) texts.push_back(name.text());
    lease.put_image(record, texts);
}

Image load_image(const layers::ImageRecord& record, const Services& services) {
    Image out{.id = record.id,
              .config = oci::parse_image_config(record.config),
              .config_text = record.config,
              .fs = {},
              .time = record.created};
    for (const DiffId& diff_id : record.diff_ids) {
        auto layer = std::make_shared<Layer>(diff_id.digest());
        layer->diff_id = diff_id;
        if (const auto remote = services.store.find_remote(diff_id)) {
            const Reference repository = Reference::parse(remote->repository);
            layer->remote =
                remote_layer(*remote, std::make_shared<registry::Repository>(services.registry, repository));
        }
        out.fs.layers.push_back(std::move(layer));
    }
    out.fs.base_layers = out.fs.layers.size();
    return out;
}

}  // namespace imgbuild::builder
