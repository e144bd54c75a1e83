#include "builder/ops/source_files.hpp"

#include "builder/context/checksums.hpp"
#include "builder/ops/keys.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace imgbuild::builder {

namespace {

using Numbered = std::pair<const SourceFileInfo*, std::size_t>;

}  // namespace

SourceFiles::SourceFiles(std::vector<SourceFilesOf> sources, std::int64_t looked_at)
    : sources_(std::move(sources)), numbers_(sources_.size()), looked_at_(looked_at) {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        if (sources_[i].contents == nullptr || sources_[i].contents->empty()) continue;
        const auto files = files_of(*sources_[i].selection);
        numbers_[i].reserve(files.size());
        for (std::size_t k = 0; k < files.size(); ++k) numbers_[i].emplace_back(files[k], k);
        std::ranges::sort(numbers_[i], std::ranges::less(), &Numbered::first);
    }
}

bool SourceFiles::keeps_times(std::size_t action) const {
    return sources_.at(action).tree->keeps_times();
}

std::optional<std::size_t> SourceFiles::number_of(std::size_t action, const SourceFileInfo& file) const {
    const std::vector<Numbered>& numbers = numbers_[action];
    const auto found = std::ranges::lower_bound(numbers, &file, std::ranges::less(), &Numbered::first);
    if (found == numbers.end() || found->first != &file) return std::nullopt;
    return found->second;
}

void SourceFiles::read(std::size_t action, const SourceFileInfo& file,
                       const std::function<void(const layers::Extent&)>& use) const {
    const SourceFilesOf& source = sources_.at(action);
    const layers::OpenContent content = source.tree->open(file);
    use(content.extent());
    const auto number = number_of(action, file);
    if (number) require_unchanged(*source.tree, file, content.fd.get(), (*source.contents)[*number], looked_at_);
}

std::optional<std::string_view> SourceFiles::find_kept(std::size_t action, const SourceFileInfo& file) const {
    if (sources_.at(action).kept == nullptr) return std::nullopt;
    const auto number = number_of(action, file);
    return number ? sources_[action].kept->find(*number) : std::nullopt;
}

}  // namespace imgbuild::builder
