#include "layers/store_limit.hpp"

#include <imgbuild/error.hpp>

#include "layers/accounting.hpp"
#include "layers/prune.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::layers {
namespace {

Error too_much(const StoreData& store, std::uint64_t bytes, std::uint64_t stays) {
    // What is published may have been counted while it was made, and then nothing more comes.
    const std::string more = bytes == 0 ? "but" : fmt::format("and {} more do not fit:", util::human_size(bytes));
    return Error({.code = "resources.store-limit",
                  .message = fmt::format("the store {} may take {}, {} images and running builds need {}",
                                         util::quote(store.root()), util::human_size(store.limit()), more,
                                         util::human_size(stays)),
                  .hint = "raise IMGBUILD_STORE_LIMIT, or remove images: `imgbuild du -v` shows them, `imgbuild prune "
                          "--all` removes all",
                  .where = {}});
}

}  // namespace

void enforce_limit(StoreData& store) {
    if (store.limit() == 0) return;
    PruneRules rules = PruneRules::everything();
    rules.named_images = false;
    rules.memories = false;
    rules.keep_bytes = store.limit();
    const PruneReport report = prune(store, rules, PruneMode::remove);
    store.set_outside(report.outside);
}

std::vector<std::string> make_room(StoreData& store, Tables& tables, std::uint64_t bytes) {
    if (store.limit() == 0) return {};
    const std::uint64_t wanted = bytes + store.in_work();
    if (tables.total_disk() + store.outside() + wanted <= store.limit()) return {};
    MeasuredFiles files;
    files.overhead = store.outside();
    const Inventory inventory = list_objects(tables, files);
    PruneRules rules = PruneRules::unused();
    rules.keep_bytes = store.limit() - std::min(store.limit(), wanted);
    std::uint64_t stays = inventory.total();
    const std::vector<std::size_t> plan = plan_prune(inventory, rules);
    for (const std::size_t i : plan) stays -= inventory.objects[i].bytes;
    if (stays + wanted > store.limit()) throw too_much(store, bytes == 0 ? 0 : wanted, stays);
    std::vector<std::string> out;
    for (const std::size_t i : plan) {
        if (std::string path = drop_object(store, tables, inventory.objects[i]); !path.empty())
            out.push_back(std::move(path));
    }
    return out;
}

void WorkRoom::take() {
    constexpr std::uint64_t kStep = std::uint64_t{1} << 20;
    const std::uint64_t more = (needed_ - taken_ + kStep - 1) / kStep * kStep;
    // In small steps near the limit, where a whole one would claim room that nobody needs.
    try {
        require_room(store_, more);
        store_.add_work(more);
        taken_ += more;
    } catch (const Error&) {
        const std::uint64_t least = needed_ - taken_;
        require_room(store_, least);
        store_.add_work(least);
        taken_ += least;
    }
}

void WorkRoom::reserve(std::uint64_t bytes) {
    if (store_.limit() == 0 || bytes <= taken_) return;
    const std::uint64_t more = bytes - taken_;
    require_room(store_, more);
    store_.add_work(more);
    taken_ += more;
}

void require_room(StoreData& store, std::uint64_t bytes) {
    if (store.limit() == 0) return;
    const std::vector<std::string> aside =
        store.index().write([&](Tables& tables) { return make_room(store, tables, bytes); });
    for (const std::string& path : aside) util::remove_all(path);
}

}  // namespace imgbuild::layers
