#include "builder/ops/file_op.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "builder/context/checksums.hpp"
#include "builder/ops/file_layer.hpp"
#include "builder/ops/final_entries.hpp"
#include "layers/archive_reader.hpp"
#include "util/clock.hpp"

#include <utility>

namespace imgbuild::builder {
namespace {

// A tree costs its files, some 35 µs each; a tar costs its bytes, some 1 ns each, as they are hashed. Both are written
// once, and a tree often not even that (reflinks).
bool is_cheaper_as_tar(const Placement& placement) {
    constexpr std::uint64_t kBytesLikeAFile = 32U << 10;
    std::uint64_t bytes = 0;
    for (const PlacedEntry& placed : placement.entries) bytes += placed.entry.size;
    return bytes < placement.entries.size() * kBytesLikeAFile;
}

class FileOp {
public:
    FileOp(const File& file, const FileInputs& inputs, const OpContext& context, const Work& work)
        : file_(file), inputs_(inputs), sources_(inputs.sources), context_(context), work_(work) {}

    LayerResult run() {
        identify_sources();
        const layers::KeyRecord definition =
            file_definition_key(file_, identities_, inputs_.base, inputs_.users, context_.keys);
        if (auto hit = find(definition, "nothing that it reads has changed")) return *hit;
        select_rest();
        const layers::ChainView view = context_.forms.names(inputs_.base, work_);
        const layers::ChainView users = inputs_.users ? context_.forms.names(*inputs_.users, work_) : view;
        const Placement placement =
            place_files(file_, selections_, view, users,
                        [this](std::size_t action, const SourceFileInfo& file) { return is_archive(action, file); });
        for (const std::string& warning : placement.warnings) warn(warning);
        const layers::KeyRecord content = file_content_key(placement, identities_, inputs_.base, context_.keys);
        if (auto hit = find(content, "the same files go to the same places")) {
            context_.forms.lease().add_key(definition, *hit->layer->id);
            return *hit;
        }
        const auto claim = context_.forms.lease().claim(content.key, work_.stop);
        if (auto hit = find(content, "another build has just made it")) return *hit;
        const layers::LayerId id = write(placement, view, content);
        context_.forms.lease().add_key(definition, id, on_conflict(context_.cache));
        return {.layer = layer_of(content.key, id), .cached = false, .reason = "its files or their places are new"};
    }

private:
    static LayerPtr layer_of(const Digest& identity, const layers::LayerId& id) {
        auto layer = std::make_shared<Layer>(identity);
        layer->id = id;
        return layer;
    }

    std::optional<LayerResult> find(const layers::KeyRecord& record, std::string reason) {
        if (context_.cache == CacheUse::write) return std::nullopt;
        const auto id = context_.forms.lease().find_layer(record.key);
        if (!id) return std::nullopt;
        // By whatever key it was found: its identity is the content key.
        const Digest identity = context_.forms.lease().facts(*id).key.value_or(record.key);
        return LayerResult{.layer = layer_of(identity, *id), .cached = true, .reason = std::move(reason)};
    }

    void warn(const std::string& message) const {
        work_.progress.report(event::Warning{.diagnostic = {.severity = Severity::warning,
                                                            .code = "build.destination",
                                                            .message = message,
                                                            .hint = {},
                                                            .span = {.line = work_.info.line}},
                                             .file = nullptr});
    }

    void identify_sources() {
        looked_at_ = util::now_ns();
        kept_.resize(file_.actions.size());
        for (std::size_t i = 0; i < file_.actions.size(); ++i) {
            SourceIdentity identity;
            Selection selection;
            std::vector<Digest> contents;
            const auto* copy = std::get_if<CopyFiles>(&file_.actions[i]);
            if (copy != nullptr && sources_[i].local && sources_[i].local->identity()) {
                identity.checksum = sources_[i].local->identity();
            } else if (copy != nullptr && sources_[i].local) {
                const SourceTree& tree = *sources_[i].local;
                tree.prepare(work_);
                selection = select_files(tree, *copy, context_.threads);
                const auto files = files_of(selection);
                // What becomes a tree is copied by the kernel.
                if (context_.reading != Reading::as_tree) {
                    kept_[i] = std::make_unique<KeptContents>(files.size(), context_.kept_room);
                }
                contents = content_checksums(tree, files, context_.store, context_.threads, work_, kept_[i].get());
                identity.checksum = selection_checksum(selection, contents,
                                                       tree.keeps_times() ? FileTimes::included : FileTimes::left_out);
            } else if (copy != nullptr) {
                for (const LayerPtr& layer : sources_[i].fs->layers) identity.layers.push_back(layer->identity);
            }
            selections_.push_back(std::move(selection));
            contents_.push_back(std::move(contents));
            identities_.push_back(std::move(identity));
        }
    }

    // Other nodes' files, and those that are known by a checksum, are looked at only when the definition alone did not
    // find the layer.
    void select_rest() {
        trees_.resize(file_.actions.size());
        for (std::size_t i = 0; i < file_.actions.size(); ++i) {
            const auto* copy = std::get_if<CopyFiles>(&file_.actions[i]);
            if (copy == nullptr) continue;
            trees_[i] = sources_[i].local;
            if (trees_[i] && trees_[i]->identity()) {
                trees_[i]->prepare(work_);
                selections_[i] = select_files(*trees_[i], *copy);
            }
            if (trees_[i]) continue;
            const FileSystem& fs = *sources_[i].fs;
            trees_[i] = std::make_shared<ChainTree>(context_.forms.files(fs, work_));
            selections_[i] = select_files(*trees_[i], *copy);
        }
    }

    bool is_archive(std::size_t action, const SourceFileInfo& file) const {
        const layers::OpenContent content = trees_.at(action)->open(file);
        layers::ContentSource source(content.extent(), file.entry.path, file.entry.size);
        return layers::looks_like_archive(source);
    }

    layers::LayerId write(const Placement& placement, const layers::ChainView& view, const layers::KeyRecord& key) {
        std::vector<SourceFilesOf> sources;
        for (std::size_t i = 0; i < trees_.size(); ++i) {
            sources.push_back(
                {.tree = trees_[i], .selection = &selections_[i], .contents = &contents_[i], .kept = kept_[i].get()});
        }
        const SourceFiles files(std::move(sources), looked_at_);
        const FileLayer layer{.placement = placement,
                              .files = files,
                              .below = view,
                              .time = layer_time(inputs_.base.next_time(), key.key, context_.keys.time_limit),
                              .key = key,
                              .on_conflict = on_conflict(context_.cache)};
        layers::Lease& lease = context_.forms.lease();
        const std::optional<layers::Codec> codec = blob_form(placement);
        return codec ? write_as_blob(layer, *codec, context_.threads, lease, work_)
                     : write_as_tree(layer, context_.threads, lease, work_);
    }

    // Nothing: as a tree.
    std::optional<layers::Codec> blob_form(const Placement& placement) const {
        if (context_.reading == Reading::as_tree || has_archives(placement)) return std::nullopt;
        if (context_.reading == Reading::packed) return context_.codec;
        if (!is_cheaper_as_tar(placement)) return std::nullopt;
        return layers::Codec{.kind = layers::Codec::Kind::none};
    }

    const File& file_;
    const FileInputs& inputs_;
    const std::vector<ActionSource>& sources_;
    const OpContext& context_;
    const Work& work_;
    std::vector<SourceIdentity> identities_;
    std::vector<Selection> selections_;
    /// Checksums of each selection's files, of local sources.
    std::vector<std::vector<Digest>> contents_;
    /// Of those that were read for them. Nothing if no blob is made.
    std::vector<std::unique_ptr<KeptContents>> kept_;
    /// Before any checksum was taken.
    std::int64_t looked_at_ = 0;
    std::vector<std::shared_ptr<const SourceTree>> trees_;
};

}  // namespace

LayerResult carry_out(const File& file, const FileInputs& inputs, const OpContext& context, const Work& work) {
    return FileOp(file, inputs, context, work).run();
}

}  // namespace imgbuild::builder
