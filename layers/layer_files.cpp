#include "layers/layer_files.hpp"

#include <imgbuild/error.hpp>

#include "layers/failure.hpp"
#include "layers/tar_format.hpp"
#include "layers/tar_writer.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <utility>

namespace imgbuild::layers {
namespace {

// A layer's tar follows from its names, so where everything lies in it is known without a look at it.
class Layout final : public TarStream {
public:
    explicit Layout(const NameIndex& names) {
        TarWriter writer(*this);
        for (const Entry& entry : names.entries()) {
            if (entry.type == EntryType::file && entry.size != 0) {
                writer.add_file_headers(entry);
                offsets_.push_back(at_);
                at_ += entry.size + tar::padding(entry.size);
            } else {
                writer.add(entry);
                offsets_.push_back(at_);
            }
        }
        writer.finish();
    }

    void begin_entry(std::string_view) override {}
    void begin_content(std::uint64_t) override {}
    void write(std::span<const std::byte> bytes) override { at_ += bytes.size(); }

    std::uint64_t size() const { return at_; }
    std::vector<std::uint64_t> take_offsets() { return std::move(offsets_); }

private:
    std::uint64_t at_ = 0;
    std::vector<std::uint64_t> offsets_;
};

}  // namespace

LayerFiles::Tar LayerFiles::lay_out(util::Fd tar, std::shared_ptr<const NameIndex> names) {
    Layout layout(*names);
    struct stat status {};
    util::check(::fstat(tar.get(), &status), "look at", "the blob of a layer");
    if (std::cmp_not_equal(status.st_size, layout.size())) {
        bad_layer_tar(fmt::format("it has {} bytes instead of {}", status.st_size, layout.size()));
    }
    return {.fd = std::move(tar), .names = std::move(names), .offsets = layout.take_offsets()};
}

OpenContent LayerFiles::open(std::string_view path) const {
    return std::visit(util::overloaded{
                          [&](const util::RootedDir& tree) -> OpenContent {
                              return {.fd = tree.open_file(path, O_RDONLY, util::Follow::no)};
                          },
                          [&](const Tar& tar) { return open_in(tar, path); },
                      },
                      from_);
}

OpenContent LayerFiles::open_in(const Tar& tar, std::string_view path) {
    const Entry* entry = tar.names->find(path);
    if (entry == nullptr || entry->type != EntryType::file)
        bad_layer_tar(fmt::format("{} is not in it", util::quote(path)));
    return {.fd = tar.fd.duplicate(),
            .offset = tar.offsets[static_cast<std::size_t>(entry - tar.names->entries().data())]};
}

}  // namespace imgbuild::layers
