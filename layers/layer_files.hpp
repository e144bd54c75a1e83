// The contents of a layer's files, one by one and in any order: out of its tree, or out of the plain tar that it was
// made as.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <variant>
#include <vector>

#include "layers/chain_view.hpp"
#include "layers/file_content.hpp"
#include "layers/name_index.hpp"
#include "util/fd.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers {

/// Immutable; threads may share it.
class LayerFiles {
public:
    explicit LayerFiles(util::RootedDir tree) : from_(std::move(tree)) {}
    /// `tar` is what write_layer_tar() made of `names`, uncompressed. Throws CorruptData ("corrupt.tar") if it has
    /// another size than that.
    LayerFiles(util::Fd tar, std::shared_ptr<const NameIndex> names)
        : from_(lay_out(std::move(tar), std::move(names))) {}

    /// `path` is the name of a regular file of the layer. Throws IoError; CorruptData ("corrupt.tar") if the tar's
    /// names do not have it.
    OpenContent open(std::string_view path) const;

private:
    struct Tar {
        util::Fd fd;
        std::shared_ptr<const NameIndex> names;
        /// By entry: where its contents begin.
        std::vector<std::uint64_t> offsets;
    };
    static Tar lay_out(util::Fd tar, std::shared_ptr<const NameIndex> names);
    static OpenContent open_in(const Tar& tar, std::string_view path);

    std::variant<util::RootedDir, Tar> from_;
};

/// What files of a chain are read from.
struct ChainFiles {
    ChainView view;
    /// Of the view's layers, oldest first.
    std::vector<LayerFiles> of_layers;
};

}  // namespace imgbuild::layers
