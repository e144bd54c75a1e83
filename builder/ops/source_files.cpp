#include "builder/ops/source_files.hpp"

#include "builder/context/checksums.hpp"
#include "builder/ops/keys.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace imgbuild::builder {

SourceFiles::SourceFiles(std::vector<SourceFilesOf> sources, std::int64_t looked_at)
    : sources_(std::move(sources)), checksums_(sources_.size()), looked_at_(looked_at) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        if (sources_[i].contents == nullptr || sources_[i].contents->empty()) continue;
        const auto files = files_of(*sources_[i].selection);
        checksums_[i].reserve(files.size());
        for (std::size_t k = 0; k < files.size(); ++k) {
            checksums_[i].emplace_back(files[k], &(*sources_[i].contents)[k]);
        }
        std::ranges::sort(checksums_[i], std::ranges::less(), &std::pair<const SourceFileInfo*, const Digest*>::first);
    }
}

bool SourceFiles::keeps_times(std::size_t action) const {
    return sources_.at(action).tree->keeps_times();
}

void SourceFiles::read(std::size_t action, const SourceFileInfo& file, const std::function<void(int fd)>& use) const {
    const SourceTree& tree = *sources_.at(action).tree;
    const util::Fd fd = tree.open(file);
    use(fd.get());
    const auto checksum = std::ranges::lower_bound(checksums_[action], &file, std::ranges::less(),
                                                   &std::pair<const SourceFileInfo*, const Digest*>::first);
    if (checksum == checksums_[action].end() || checksum->first != &file) return;
    require_unchanged(tree, file, fd.get(), *checksum->second, looked_at_);
}

}  // namespace imgbuild::builder
