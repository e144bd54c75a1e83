#include "registry/http.hpp"

#include "util/text.hpp"

#include <algorithm>

namespace imgbuild::registry {

std::optional<std::string> Headers::find(std::string_view name) const {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Header& header) {
        return util::equals_ignoring_case(header.name, name);
    });
    if (found == entries_.end()) return std::nullopt;
    return found->value;
}

std::vector<std::string> Headers::find_all(std::string_view name) const {
    std::vector<std::string> out;
    for (const Header& header : entries_) {
        if (util::equals_ignoring_case(header.name, name)) out.push_back(header.value);
    }
    return out;
}

void Headers::remove(std::string_view name) {
    std::erase_if(entries_, [&](const Header& header) { return util::equals_ignoring_case(header.name, name); });
}

}  // namespace imgbuild::registry
