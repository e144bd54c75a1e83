// The result of a node as a source of files (COPY --from): metadata from the layers' name indexes, contents from their
// trees. No overlay is mounted for it.
#pragma once

#include "builder/context/source_tree.hpp"
#include "layers/chain_view.hpp"
#include "util/rooted_dir.hpp"

#include <vector>

namespace imgbuild::builder {

class ChainTree final : public SourceTree {
public:
    /// `trees`: of the view's layers, oldest first.
    ChainTree(layers::ChainView view, std::vector<util::RootedDir> trees);

    std::optional<SourceFileInfo> find(std::string_view path) const override;
    std::string resolve(std::string_view path) const override;
    std::vector<SourceFileInfo> children(std::string_view directory) const override;
    util::Fd open(const SourceFileInfo& file) const override;
    std::string why_absent(std::string_view path) const override;

private:
    SourceFileInfo describe(const layers::Found& found) const;

    layers::ChainView view_;
    std::vector<util::RootedDir> trees_;
};

}  // namespace imgbuild::builder
