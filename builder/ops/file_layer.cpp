#include "builder/ops/file_layer.hpp"

#include <imgbuild/error.hpp>

#include "builder/ops/final_entries.hpp"
#include "layers/archive_reader.hpp"
#include "layers/block_table.hpp"
#include "layers/decompress.hpp"
#include "layers/pack.hpp"
#include "layers/tree_writer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <tuple>
#include <utility>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

// ---------------------------------------------------------------- archives

const std::string* link_at(const std::string& path, const layers::ChainView& below, const layers::TreeWriter& writer) {
    if (const Entry* own = writer.find(path)) {
        return own->type == EntryType::symlink ? &own->link_target : nullptr;
    }
    const auto found = below.find(path);
    return found && found->entry->type == EntryType::symlink ? &found->entry->link_target : nullptr;
}

// Links on the way to an entry are followed, those of the archive and those of the base, but never out of the
// directory that the archive is unpacked to: for its entries that is the root.
std::string place_in(const std::string& directory, std::string_view path, const layers::ChainView& below,
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
        const std::string* target = link_at(joined(name), below, writer);
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

class TreeLayer {
public:
    TreeLayer(const FileLayer& layer, layers::TreeWriter& writer, const Work& work)
        : layer_(layer), writer_(writer), work_(work) {}

    void write() {
        if (!has_archives(layer_.placement)) return write_final();
        // What an archive brings may replace what was there before and be replaced again, so everything is written in
        // its order; and no names are joined, since what the first of them leads to may be an archive's file by then.
        for (const PlacedEntry& placed : layer_.placement.entries) {
            check_stop();
            const auto* archive = std::get_if<FromArchive>(&placed.content);
            if (archive == nullptr) {
                write_one(with_time(placed), placed);
                continue;
            }
            writer_.wait();  // what went wrong before has nothing to do with the archive
            in_context(fmt::format("unpacking {}", util::quote(archive->file->entry.path)),
                       [&] { unpack(*archive, placed.entry.path); });
        }
    }

private:
    void check_stop() const {
        if (work_.stop.stop_requested()) throw Cancelled();
    }

    void write_final() {
        for (FinalEntry& final : final_entries(layer_.placement, layer_.files, layer_.time)) {
            check_stop();
            if (final.entry.implicit) continue;  // the writer makes those that it meets on its way
            if (final.placed == nullptr) {
                writer_.add(std::move(final.entry));
            } else {
                write_one(std::move(final.entry), *final.placed);
            }
        }
    }

    Entry with_time(const PlacedEntry& placed) const {
        Entry entry = placed.entry;
        const auto* from = std::get_if<FromSource>(&placed.content);
        const bool keeps = from != nullptr && layer_.files.keeps_times(from->action);
        entry.mtime = keeps ? std::min(entry.mtime, layer_.time) : layer_.time;
        return entry;
    }

    void write_one(Entry entry, const PlacedEntry& placed) {
        if (const auto* text = std::get_if<FromText>(&placed.content)) {
            util::MemorySource source(text->text);
            writer_.add_file(std::move(entry), source);
        } else if (const auto* source = std::get_if<FromSource>(&placed.content)) {
            add_copy(std::move(entry), *source);
        } else {
            writer_.add(std::move(entry));
        }
    }

    // In another thread, as it comes. The placement and its files outlive the writer, which this object does not.
    void add_copy(Entry entry, const FromSource& source) {
        writer_.add_copy(std::move(entry), [&files = layer_.files, &work = work_,
                                            &source](const std::function<void(const layers::Extent&)>& copy) {
            if (work.stop.stop_requested()) throw Cancelled();
            files.read(source.action, *source.file, copy);
        });
    }

    void unpack(const FromArchive& archive, const std::string& directory) {
        layer_.files.read(archive.action, *archive.file, [&](const layers::Extent& content) {
            layers::ContentSource file(content, archive.file->entry.path, archive.file->entry.size);
            const auto tar = layers::open_compressed(file);
            layers::ArchiveReader reader(*tar, layers::AbsoluteNames::strip, {}, work_.stop);
            while (Entry* next = reader.next()) {
                // "./", or no name: the directory it goes to is there already.
                if (!next->path.empty()) unpack_entry(std::move(*next), reader.content(), archive, directory);
            }
        });
    }

    void unpack_entry(Entry entry, util::Source& content, const FromArchive& archive, const std::string& directory) {
        if (archive.owner) std::tie(entry.uid, entry.gid) = *archive.owner;
        entry.mtime = std::min(entry.mtime, layer_.time);
        entry.path = place_in(directory, entry.path, layer_.below, writer_);
        if (entry.type == EntryType::hardlink) {
            entry.link_target = place_in(directory, entry.link_target, layer_.below, writer_);
        }
        if (entry.type == EntryType::file) {
            writer_.add_file(std::move(entry), content);
        } else {
            writer_.add(std::move(entry));
        }
    }

    const FileLayer& layer_;
    layers::TreeWriter& writer_;
    const Work& work_;
};

// ---------------------------------------------------------------- blobs

using Take = std::function<void(util::Source&)>;

class BlobLayer {
public:
    BlobLayer(const FileLayer& layer, const Work& work) : layer_(layer), work_(work) {
        std::vector<Entry> entries;
        for (FinalEntry& final : final_entries(layer.placement, layer.files, layer.time)) {
            entries.push_back(std::move(final.entry));
            placed_.push_back(final.placed);
        }
        names_ = layers::NameIndex(std::move(entries));
        names_.set_user_files(user_file("etc/passwd"), user_file("etc/group"));
    }

    const layers::NameIndex& names() const { return names_; }

    /// Bytes of all contents.
    std::uint64_t content_size() const {
        std::uint64_t out = 0;
        for (const Entry& entry : names_.entries()) out += entry.type == EntryType::file ? entry.size : 0;
        return out;
    }

    void write(layers::TarStream& out) {
        std::size_t next = 0;
        const auto check_up_to = [&](std::size_t end) {
            for (; next < end; ++next) check_empty(next);
        };
        layers::write_layer_tar(
            names_,
            [&](const Entry& entry, const Take& take) {
                const std::size_t at = number_of(entry);
                check_up_to(at);
                give(at, take);
                next = at + 1;
            },
            out, work_.stop);
        check_up_to(placed_.size());
    }

private:
    std::size_t number_of(const Entry& entry) const {
        return static_cast<std::size_t>(&entry - names_.entries().data());
    }

    void give(std::size_t number, const Take& take) const {
        const PlacedEntry& placed = *placed_[number];
        if (const auto* text = std::get_if<FromText>(&placed.content)) {
            util::MemorySource source(text->text);
            return take(source);
        }
        const auto& from = std::get<FromSource>(placed.content);
        if (const auto kept = layer_.files.find_kept(from.action, *from.file)) {
            util::MemorySource source(*kept);
            return take(source);
        }
        layer_.files.read(from.action, *from.file, [&](const layers::Extent& extent) {
            layers::ContentSource content(extent, from.file->entry.path, placed.entry.size);
            take(content);
        });
    }

    // An empty file has no contents that a tar would ask for, and may have got some.
    void check_empty(std::size_t number) const {
        const PlacedEntry* placed = placed_[number];
        const auto* from = placed == nullptr ? nullptr : std::get_if<FromSource>(&placed->content);
        if (from == nullptr || layer_.files.find_kept(from->action, *from->file)) return;
        layer_.files.read(from->action, *from->file, [](const layers::Extent&) {});
    }

    std::optional<std::string> user_file(std::string_view path) const {
        const Entry* entry = names_.find(path);
        if (entry == nullptr || entry->size > layers::kMaxUserFileBytes) return std::nullopt;
        // Of several names of one file the first has the contents.
        if (entry->type == EntryType::hardlink) entry = names_.find(entry->link_target);
        if (entry == nullptr || placed_[number_of(*entry)] == nullptr) return std::nullopt;
        util::StringSink out;
        give(number_of(*entry), [&](util::Source& content) { util::copy(content, out); });
        return out.take();
    }

    const FileLayer& layer_;
    const Work& work_;
    layers::NameIndex names_;
    /// Of each of these names: where a regular file's contents come from; null for everything else.
    std::vector<const PlacedEntry*> placed_;
};

}  // namespace

layers::LayerId write_as_tree(const FileLayer& layer, unsigned threads, layers::Lease& lease, const Work& work) {
    layers::UnfinishedLayer unfinished = lease.begin_layer();
    layers::TreeWriter writer(util::RootedDir::open(unfinished.tree()),
                              {.implicit_mtime = layer.time, .links_describe = true, .threads = threads});
    TreeLayer(layer, writer, work).write();
    return lease.publish(std::move(unfinished), writer.finish().serialize(), {}, layer.key, layer.on_conflict);
}

layers::LayerId write_as_blob(const FileLayer& layer, const layers::Codec& codec, unsigned threads,
                              layers::Lease& lease, const Work& work) {
    BlobLayer files(layer, work);
    // How far a compressor gets is seen when it is done.
    layers::BlobWriter blob =
        lease.begin_hashed_blob(codec.kind == layers::Codec::Kind::none ? files.content_size() : 0);
    layers::BlockTable blocks(lease, codec);
    layers::Packer packer(codec, &blob, threads, &blocks);
    files.write(packer.stream());
    const layers::PackResult packed = packer.finish();
    const layers::BlobForm form{
        .blob = blob.commit(layers::BlobInfo{.digest = packed.blob.value().digest, .size = packed.blob.value().size}),
        .media_type = std::string(codec.media_type()),
        .codec_id = codec.codec_id()};
    blocks.record(form.blob);
    return lease.publish_packed(files.names().serialize(), {.diff_id = packed.diff_id, .tar_size = packed.tar_size},
                                form, layer.key, layer.on_conflict);
}

}  // namespace imgbuild::builder
