#include "builder/ops/file_op.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/chain_tree.hpp"
#include "builder/context/checksums.hpp"
#include "layers/archive_reader.hpp"
#include "layers/decompress.hpp"
#include "layers/tree_writer.hpp"
#include "util/clock.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <map>
#include <unordered_map>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;
using util::overloaded;

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
        const layers::ChainView view = context_.forms.view(inputs_.base, work_);
        const layers::ChainView users = inputs_.users ? context_.forms.view(*inputs_.users, work_) : view;
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
                contents = content_checksums(tree, files_of(selection), context_.store, context_.threads, work_);
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

    // What was copied must be what the key speaks of, and the user's files can change in between.
    void check_source(std::size_t action, const SourceFileInfo& file, int fd) const {
        const auto checksum = checksums_.at(action).find(file.entry.path);
        if (checksum == checksums_[action].end()) return;
        require_unchanged(*trees_.at(action), file, fd, *checksum->second, looked_at_);
    }

    // By path, for check_source().
    void index_checksums() {
        checksums_.resize(selections_.size());
        for (std::size_t i = 0; i < selections_.size(); ++i) {
            if (contents_[i].empty()) continue;
            const auto files = files_of(selections_[i]);
            for (std::size_t k = 0; k < files.size(); ++k)
                checksums_[i].emplace(files[k]->entry.path, &contents_[i][k]);
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
            trees_[i] = std::make_shared<ChainTree>(context_.forms.view(fs, work_), context_.forms.trees(fs, work_));
            selections_[i] = select_files(*trees_[i], *copy);
        }
    }

    bool is_archive(std::size_t action, const SourceFileInfo& file) const {
        const util::Fd fd = trees_.at(action)->open(file);
        util::FdSource source(fd.get(), file.entry.path);
        return layers::looks_like_archive(source);
    }

    layers::LayerId write(const Placement& placement, const layers::ChainView& view, const layers::KeyRecord& key) {
        index_checksums();
        const std::int64_t time = layer_time(inputs_.base.next_time(), key.key, context_.keys.time_limit);
        layers::UnfinishedLayer unfinished = context_.forms.lease().begin_layer();
        layers::TreeWriter writer(util::RootedDir::open(unfinished.tree()),
                                  {.implicit_mtime = time, .links_describe = true});
        for (const PlacedEntry& placed : placement.entries) {
            if (work_.stop.stop_requested()) throw Cancelled();
            write_entry(placed, time, view, writer);
        }
        return context_.forms.lease().publish(std::move(unfinished), writer.finish().serialize(), {}, key,
                                              on_conflict(context_.cache));
    }

    void write_entry(const PlacedEntry& placed, std::int64_t time, const layers::ChainView& view,
                     layers::TreeWriter& writer) {
        Entry entry = placed.entry;
        const auto* from = std::get_if<FromSource>(&placed.content);
        const bool keeps_time = from != nullptr && trees_.at(from->action)->keeps_times();
        entry.mtime = keeps_time ? std::min(entry.mtime, time) : time;
        std::visit(overloaded{
                       [&](std::monostate) { writer.add(std::move(entry)); },
                       [&](const FromText& text) {
                           util::MemorySource source(text.text);
                           writer.add_file(std::move(entry), source);
                       },
                       [&](const FromSource& source) { write_file(source, std::move(entry), writer); },
                       [&](const FromArchive& archive) {
                           in_context(fmt::format("unpacking {}", util::quote(archive.file.entry.path)),
                                      [&] { unpack(archive, entry.path, time, view, writer); });
                       },
                   },
                   placed.content);
    }

    void write_file(const FromSource& source, Entry entry, layers::TreeWriter& writer) {
        const auto& group = source.file.link_group;
        if (group) {
            const auto link = links_.try_emplace(std::pair(source.action, *group), entry.path);
            const layers::Entry* first = link.second ? nullptr : writer.find(link.first->second);
            // The same file with another owner or mode than its first name is a file of its own.
            if (first != nullptr && first->path != entry.path && same_inode(*first, entry)) {
                entry.type = EntryType::hardlink;
                entry.link_target = first->path;
                writer.add(std::move(entry));
                return;
            }
        }
        const util::Fd fd = trees_.at(source.action)->open(source.file);
        writer.add_copy(std::move(entry), fd.get());
        check_source(source.action, source.file, fd.get());
    }

    static bool same_inode(const Entry& a, const Entry& b) {
        return a.type == EntryType::file && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.size == b.size;
    }

    void unpack(const FromArchive& archive, const std::string& directory, std::int64_t time,
                const layers::ChainView& view, layers::TreeWriter& writer) {
        const util::Fd fd = trees_.at(archive.action)->open(archive.file);
        util::FdSource file(fd.get(), archive.file.entry.path);
        const auto tar = layers::open_compressed(file);
        layers::ArchiveReader reader(*tar, layers::AbsoluteNames::strip, {}, work_.stop);
        while (Entry* next = reader.next()) {
            Entry entry = std::move(*next);
            if (entry.path.empty()) continue;  // "./", or no name: the directory it goes to is there already
            if (archive.owner) std::tie(entry.uid, entry.gid) = *archive.owner;
            entry.mtime = std::min(entry.mtime, time);
            entry.path = place_in(directory, entry.path, view, writer);
            if (entry.type == EntryType::hardlink) {
                entry.link_target = place_in(directory, entry.link_target, view, writer);
            }
            if (entry.type == EntryType::file) {
                writer.add_file(std::move(entry), reader.content());
            } else {
                writer.add(std::move(entry));
            }
        }
        check_source(archive.action, archive.file, fd.get());
    }

    // Links on the way to an entry are followed, those of the archive and those of the base, but never out of the
    // directory that the archive is unpacked to: for its entries that is the root.
    static std::string place_in(const std::string& directory, std::string_view path, const layers::ChainView& view,
                                const layers::TreeWriter& writer) {
        constexpr int kMaxLinks = 40;
        std::vector<std::string> done;
        std::vector<std::string> rest;
        const auto push = [&rest](std::string_view text) {
            const auto parts = util::path_components(text);
            rest.insert(rest.end(), parts.rbegin(), parts.rend());
        };
        const auto joined = [&](std::string_view name) {
            std::string out = directory;
            for (const std::string& part : done) out = layers::join_path(out, part);
            return name.empty() ? out : layers::join_path(out, name);
        };
        push(path);
        for (int links = 0; rest.size() > 1;) {
            const std::string name = std::move(rest.back());
            rest.pop_back();
            if (name == "..") {
                if (!done.empty()) done.pop_back();
                continue;
            }
            const std::string* target = link_at(joined(name), view, writer);
            if (target == nullptr) {
                done.push_back(name);
                continue;
            }
            if (++links > kMaxLinks) throw IoError("follow the link", "/" + joined(name), ELOOP);
            if (target->starts_with('/')) done.clear();
            push(*target);
        }
        return rest.empty() ? joined("") : joined(rest.back());
    }

    static const std::string* link_at(const std::string& path, const layers::ChainView& view,
                                      const layers::TreeWriter& writer) {
        if (const Entry* own = writer.find(path)) {
            return own->type == EntryType::symlink ? &own->link_target : nullptr;
        }
        const auto below = view.find(path);
        return below && below->entry->type == EntryType::symlink ? &below->entry->link_target : nullptr;
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
    /// The same by path, while the layer is written.
    std::vector<std::unordered_map<std::string_view, const Digest*>> checksums_;
    /// Before any checksum was taken.
    std::int64_t looked_at_ = 0;
    std::vector<std::shared_ptr<const SourceTree>> trees_;
    /// First place of each file with several names.
    std::map<std::pair<std::size_t, std::pair<std::uint64_t, std::uint64_t>>, std::string> links_;
};

}  // namespace

LayerResult carry_out(const File& file, const FileInputs& inputs, const OpContext& context, const Work& work) {
    return FileOp(file, inputs, context, work).run();
}

}  // namespace imgbuild::builder
