#include "layers/prune.hpp"

#include <algorithm>
#include <tuple>

namespace imgbuild::layers {

PruneRules PruneRules::unused() {
    PruneRules rules;
    rules.kinds = {ObjectKind::image, ObjectKind::layer, ObjectKind::blob};
    return rules;
}

PruneRules PruneRules::everything() {
    PruneRules rules;
    rules.kinds = {ObjectKind::image, ObjectKind::layer, ObjectKind::blob, ObjectKind::mount, ObjectKind::log};
    rules.named_images = true;
    rules.memories = true;
    return rules;
}

namespace {

class Planning {
public:
    Planning(const Inventory& inventory, const PruneRules& rules) : objects_(inventory.objects), rules_(rules) {
        left_ = inventory.total();
        needed_by_.resize(objects_.size());
        gone_.resize(objects_.size());
        for (const StoredObject& object : objects_) {
            for (const std::size_t need : object.needs) ++needed_by_[need];
        }
        for (std::size_t i = 0; i < objects_.size(); ++i) {
            if (may_go(objects_[i])) (objects_[i].kind == ObjectKind::image ? images_ : others_).push_back(i);
        }
        std::stable_sort(others_.begin(), others_.end(), [this](std::size_t a, std::size_t b) {
            return objects_[a].last_used < objects_[b].last_used;
        });
        std::stable_sort(images_.begin(), images_.end(), [this](std::size_t a, std::size_t b) {
            const auto order = [this](std::size_t i) {
                return std::tuple(!objects_[i].names.empty(), objects_[i].last_used);
            };
            return order(a) < order(b);
        });
    }

    std::vector<std::size_t> run() {
        // Without a size to keep, all of them go, and looking after each for what it sets free would be in vain.
        if (!rules_.keep_bytes) {
            for (const std::size_t image : images_) remove_image(image);
            images_.clear();
        }
        remove_unneeded();
        for (const std::size_t image : images_) {
            if (fits()) break;
            remove_image(image);
            remove_unneeded();
        }
        return std::move(out_);
    }

private:
    bool may_go(const StoredObject& object) const {
        if (!rules_.kinds.contains(object.kind) || object.held) return false;
        if (rules_.unused_since && object.last_used >= *rules_.unused_since) return false;
        return object.kind != ObjectKind::image || object.names.empty() || rules_.named_images;
    }

    bool fits() const { return rules_.keep_bytes && left_ <= *rules_.keep_bytes; }

    void remove_image(std::size_t image) {
        for (const std::size_t need : objects_[image].needs) --needed_by_[need];
        out_.push_back(image);
    }

    void remove_unneeded() {
        for (const std::size_t i : others_) {
            if (!gone_[i] && needed_by_[i] == 0 && !fits()) remove_with_needs(i);
        }
        std::erase_if(others_, [this](std::size_t i) { return gone_[i]; });
    }

    // What a layer lives by is of no use without it and goes with it, before anything that was used later.
    void remove_with_needs(std::size_t i) {
        gone_[i] = true;
        left_ -= std::min(left_, objects_[i].bytes);
        out_.push_back(i);
        for (const std::size_t need : objects_[i].needs) {
            if (--needed_by_[need] == 0 && may_go(objects_[need]) && !gone_[need]) remove_with_needs(need);
        }
    }

    const std::vector<StoredObject>& objects_;
    const PruneRules& rules_;
    std::uint64_t left_ = 0;
    std::vector<std::size_t> needed_by_;
    std::vector<bool> gone_;
    std::vector<std::size_t> images_;
    std::vector<std::size_t> others_;
    std::vector<std::size_t> out_;
};

}  // namespace

std::vector<std::size_t> plan_prune(const Inventory& inventory, const PruneRules& rules) {
    return Planning(inventory, rules).run();
}

}  // namespace imgbuild::layers
