#include "layers/unpack.hpp"

#include "layers/archive_reader.hpp"
#include "layers/decompress.hpp"
#include "layers/failure.hpp"
#include "layers/tree_writer.hpp"
#include "util/byte_queue.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace imgbuild::layers {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kBookkeeping = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::size_t kReadAheadBytes = 1U << 20;

// Passes the tar's bytes and knows their digest.
class HashingSource final : public util::Source {
public:
    explicit HashingSource(util::Source& inner) : inner_(inner) {}
    std::size_t read(std::span<std::byte> into) override {
        const std::size_t n = inner_.read(into);
        hash_.write(into.first(n));
        return n;
    }
    const util::HashingSink& hash() const { return hash_; }

private:
    util::Source& inner_;
    util::HashingSink hash_;
};

enum class Meaning { entry, whiteout, opaque, bookkeeping };

Meaning meaning_of(std::string_view path) {
    if (path.empty()) return Meaning::entry;
    for (std::string_view up = path; !up.empty(); up = parent_path(up)) {
        const std::string_view name = base_name(up);
        const bool last = up.size() == path.size();
        if (!name.starts_with(kWhiteout) || (last && name == kOpaque)) continue;
        if (name.starts_with(kBookkeeping)) return Meaning::bookkeeping;
        if (!last) bad_archive(fmt::format("{} lies in something deleted", util::quote(path)));
    }
    const std::string_view name = base_name(path);
    if (name == kOpaque) return Meaning::opaque;
    return name.starts_with(kWhiteout) ? Meaning::whiteout : Meaning::entry;
}

void add_whiteout(const Entry& mark, TreeWriter& tree) {
    const std::string_view hidden = base_name(mark.path).substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
        bad_archive(fmt::format("the whiteout {} names no file", util::quote(mark.path)));
    }
    std::string path = tree.resolve_parents(join_path(parent_path(mark.path), hidden));
    const Entry* here = tree.find(path);
    if (here == nullptr || here->type == EntryType::whiteout) {
        tree.add({.path = std::move(path), .type = EntryType::whiteout, .mtime = mark.mtime});
    } else if (here->type == EntryType::directory) {
        // Deleted and made again: what lies below neither shines through nor describes it.
        Entry made = *here;
        made.implicit = false;
        made.opaque = true;
        tree.add(std::move(made));
    }
}

void add_entry(Entry& entry, util::Source& content, TreeWriter& tree) {
    switch (meaning_of(entry.path)) {
        case Meaning::bookkeeping:
            return;
        case Meaning::opaque:
            return tree.mark_opaque(parent_path(entry.path));
        case Meaning::whiteout:
            return add_whiteout(entry, tree);
        case Meaning::entry:
            break;
    }
    if (entry.type == EntryType::file) return tree.add_file(std::move(entry), content);
    tree.add(std::move(entry));
}

}  // namespace

UnpackResult unpack_layer(util::Source& blob, const util::RootedDir& tree, const ArchiveLimits& limits,
                          std::stop_token stop, std::int64_t implicit_mtime) {
    const auto plain = open_layer_blob(blob, limits);
    HashingSource tar(*plain);
    // Inflating and hashing keep one core busy, making files another.
    util::ReadAhead ahead(tar, kReadAheadBytes);
    ArchiveReader reader(ahead, AbsoluteNames::refuse, limits, std::move(stop));
    TreeWriter writer(tree, {.implicit_mtime = implicit_mtime});
    while (Entry* entry = reader.next()) add_entry(*entry, reader.content(), writer);
    reader.drain();
    UnpackResult out;
    out.names = writer.finish();
    out.diff_id = DiffId(tar.hash().digest());
    out.tar_size = tar.hash().size();
    return out;
}

}  // namespace imgbuild::layers
