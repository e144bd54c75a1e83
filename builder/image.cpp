#include "builder/image.hpp"

#include "builder/parallel.hpp"
#include "util/bytes.hpp"

#include <utility>

namespace imgbuild::builder {

std::int64_t newest_time(const FileSystem& fs, std::optional<std::int64_t> limit) {
    if (fs.layers.size() == fs.base_layers) return fs.base_time;
    const auto position = static_cast<std::int64_t>(fs.layers.size() - fs.base_layers);
    return layer_time(fs.base_time + kLayerTimeStep * position, fs.layers.back()->identity, limit);
}

Image finish_image(ImageDraft draft, LayerForms& forms, unsigned threads, const Work& work) {
    Image out{
        .id = {}, .config = std::move(draft.config), .config_text = {}, .fs = std::move(draft.fs), .time = draft.time};
    const FileSystem& fs = out.fs;
    std::vector<DiffId> diff_ids(fs.layers.size());
    in_parallel(fs.layers.size(), threads, work.stop, [&](std::size_t i, std::stop_token stop) {
        Layer& layer = *fs.layers[i];
        const bool is_base = i < fs.base_layers;
        // Those of a base image are known without looking at its layers.
        diff_ids[i] = is_base ? layer.diff_id.value() : forms.ensure_diff_id(layer, work.with(std::move(stop)));
    });
    out.config.diff_ids = std::move(diff_ids);
    const oci::Timestamp timestamp{.seconds = out.time, .nanoseconds = 0};
    out.config.created = timestamp;
    for (oci::HistoryEntry& entry : out.config.history) {
        if (!entry.created) entry.created = timestamp;
    }
    out.config_text = out.config.to_json();
    out.id = util::Sha256::of(out.config_text);
    return out;
}

}  // namespace imgbuild::builder
