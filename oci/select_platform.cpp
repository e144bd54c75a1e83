// Which entry of an index to use. Among several that fit, the best is the one made for the newest machine that is not
// newer than the wanted one: linux/arm/v6 before linux/arm/v5 for an arm/v7.
#include "oci/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::oci {
namespace {

// Attestations are listed as manifests for a platform that nobody has.
bool is_attestation(const Descriptor& entry) {
    return entry.annotations.contains("vnd.docker.reference.type") ||
           (entry.platform && entry.platform->os == "unknown" && entry.platform->architecture == "unknown");
}

bool is_better(const Descriptor& candidate, const std::optional<Descriptor>& best) {
    return !best || (*candidate.platform != *best->platform && satisfies(*best->platform, *candidate.platform));
}

}  // namespace

std::optional<Descriptor> select_platform(const Index& index, const Platform& wanted) {
    std::vector<const Descriptor*> images;
    for (const Descriptor& entry : index.manifests) {
        if (!is_attestation(entry)) images.push_back(&entry);
    }
    std::optional<Descriptor> best;
    for (const Descriptor* entry : images) {
        if (!entry->platform) continue;
        if (*entry->platform == wanted) return *entry;
        if (satisfies(*entry->platform, wanted) && is_better(*entry, best)) best = *entry;
    }
    if (!best && images.size() == 1 && !images.front()->platform) return *images.front();
    return best;
}

std::string available_platforms(const Index& index) {
    std::vector<std::string> names;
    for (const Descriptor& entry : index.manifests) {
        if (entry.platform && !is_attestation(entry)) names.push_back(entry.platform->text());
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace imgbuild::oci
