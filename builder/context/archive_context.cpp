#include "builder/context/archive_context.hpp"

#include "builder/context/chain_tree.hpp"
#include "layers/archive_reader.hpp"
#include "layers/decompress.hpp"
#include "layers/tree_writer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <functional>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;

// Reads from its own position, so that several may read one file.
class PositionedSource final : public util::Source {
public:
    PositionedSource(int fd, const std::string& name) : fd_(fd), name_(name) {}

    std::size_t read(std::span<std::byte> into) override {
        for (;;) {
            const ssize_t n = ::pread(fd_, into.data(), into.size(), offset_);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw IoError("read", name_, errno);
            offset_ += n;
            return static_cast<std::size_t>(n);
        }
    }

private:
    int fd_;
    const std::string& name_;
    off_t offset_ = 0;
};

void for_each_entry(int archive, const std::string& name, std::stop_token stop,
                    const std::function<void(Entry& entry, util::Source& content)>& body) {
    in_context(fmt::format("reading the context {}", name), [&] {
        PositionedSource file(archive, name);
        const auto tar = layers::open_compressed(file);
        layers::ArchiveReader reader(*tar, layers::AbsoluteNames::strip, {}, stop);
        while (Entry* entry = reader.next()) {
            if (!entry->path.empty()) body(*entry, reader.content());
        }
    });
}

}  // namespace

std::optional<SourceFile> ArchiveContext::find_file(const std::vector<std::string>& names, std::uint64_t limit) const {
    std::optional<SourceFile> best;
    if (!archive_) return best;
    std::size_t rank = names.size();
    for_each_entry(archive_.get(), name_, {}, [&](Entry& entry, util::Source& content) {
        const auto at = std::find(names.begin(), names.end(), entry.path);
        const auto found = static_cast<std::size_t>(at - names.begin());
        // Of two entries with one name the later counts, as when it is unpacked.
        if (at == names.end() || found > rank || entry.type != EntryType::file) return;
        rank = found;
        best = SourceFile{.name = *at, .text = util::read_all(content, limit, "the build file")};
    });
    return best;
}

std::shared_ptr<const SourceTree> ArchiveContext::unpack(layers::Lease& lease, std::stop_token stop) const {
    if (!archive_) return std::make_shared<const ChainTree>(layers::ChainFiles());
    const auto place = std::make_shared<const layers::UnfinishedLayer>(lease.begin_layer());
    layers::TreeWriter writer(util::RootedDir::open(place->tree()));
    for_each_entry(archive_.get(), name_, stop, [&](Entry& entry, util::Source& content) {
        entry.uid = 0;
        entry.gid = 0;
        if (entry.type == EntryType::file) {
            writer.add_file(std::move(entry), content);
        } else {
            writer.add(std::move(entry));
        }
    });
    const auto names = std::make_shared<const layers::NameIndex>(writer.finish());
    std::vector<layers::LayerFiles> files;
    files.emplace_back(util::RootedDir::open(place->tree()));
    return std::make_shared<const ChainTree>(
        layers::ChainFiles{.view = layers::ChainView({names}), .of_layers = std::move(files)},
        ChainTree::Times::meaningless, place);
}

}  // namespace imgbuild::builder
