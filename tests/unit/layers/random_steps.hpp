// Random stacks of layers and random steps on them, in an overlay of the kernel's or anywhere else. What is random
// comes from the given engine alone, so that the same engine makes the same changes wherever they are made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "layers/chain_view.hpp"
#include "tests/unit/layers/layer_maker.hpp"

namespace imgbuild::layers::test {

/// The time of the layers that steps make: random times lie on both sides of it.
inline constexpr std::int64_t kStepTime = 1'000'000'000;

/// Runs the body in a thread that has a mount namespace of its own: its mounts go when it ends. Without root the body
/// is not run, with a word about it.
void in_mount_namespace(const std::function<void()>& body);

class Overlay {
public:
    /// Trees oldest first; with an upper directory it can be written to.
    Overlay(const std::vector<const Tree*>& trees, const Tree* upper);
    ~Overlay();
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    const std::string& path() const { return point_.path(); }

private:
    Tree point_;
    Tree work_;
    Tree empty_;
};

/// Layers with their trees.
struct Chain {
    std::vector<std::unique_ptr<Tree>> owned;
    std::vector<const Tree*> trees;
    ChainView::Layers layers;

    void add(std::unique_ptr<Tree> tree, NameIndex names);
    std::vector<util::RootedDir> roots() const;
};

/// One to four unpacked layers with few names, so that they meet, and everything that a tar can say.
Chain random_chain(std::mt19937_64& random);

/// The tree that plan_patch() wants on top of the others.
std::unique_ptr<Tree> make_patch(const ChainView& view, const Chain& chain);

/// One change of any kind below `root`, as a command in a step makes it. Many make no sense, and fail as they do there.
void change_something(std::mt19937_64& random, const std::string& root);

/// What a tree shows by path, one line for each name: all that a layer can say of it, times as a step's layer has them.
using Listing = std::map<std::string, std::string>;
/// A directory, read and not touched. Marks on inodes are taken for what they mean; sockets are left out.
Listing list_directory_tree(const std::string& path);
Listing list_view(const ChainView& view, const std::vector<const Tree*>& trees);
/// Empty if they are the same.
std::string differences(const Listing& a, const Listing& b);

}  // namespace imgbuild::layers::test
