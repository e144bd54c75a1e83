#include "builder/export.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "builder/rootfs.hpp"
#include "registry/repository.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <map>

namespace imgbuild::builder {
namespace {

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

void write_files(const Output& output, const FileSystem& fs, const Platform& platform, LayerForms& forms,
                 const Work& work) {
    const ChainTree tree(forms.files(fs, work));
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
