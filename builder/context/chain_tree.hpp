// The result of a node as a source of files (COPY --from): metadata from the layers' name indexes, contents from their
// trees or plain tars. No overlay is mounted for it.
#pragma once

#include "builder/context/source_tree.hpp"
#include "layers/chain_view.hpp"
#include "layers/layer_files.hpp"

#include <memory>
#include <string>
#include <vector>

namespace imgbuild::builder {

class ChainTree final : public SourceTree {
public:
    enum class Times { kept, meaningless };

    /// `times`: those of layers are no later than the layers' own and are
    /// kept. `owner` lives as long as this.
    explicit ChainTree(layers::ChainFiles files, Times times = Times::kept, std::shared_ptr<const void> owner = {});

    bool keeps_times() const override { return times_ == Times::kept; }
    std::optional<SourceFileInfo> find(std::string_view path) const override;
    std::string resolve(std::string_view path) const override;
    std::vector<SourceFileInfo> children(std::string_view directory) const override;
    layers::OpenContent open(const SourceFileInfo& file) const override;
    std::string why_absent(std::string_view path) const override;

private:
    SourceFileInfo describe(const layers::Found& found) const;

    layers::ChainFiles files_;
    Times times_;
    std::shared_ptr<const void> owner_;
};

}  // namespace imgbuild::builder
