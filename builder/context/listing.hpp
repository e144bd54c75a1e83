// What lies below a directory of a source tree, read by several threads before it is asked for: with many files the
// time goes into the kernel's answers, one after the other.
#pragma once

#include "builder/context/source_tree.hpp"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace imgbuild::builder {

class Listing {
public:
    /// `descends` tells whether a directory below the first one is wanted; it is called from several threads.
    Listing(const SourceTree& tree, unsigned threads, std::function<bool(const std::string& path)> descends)
        : tree_(tree), threads_(threads), descends_(std::move(descends)) {}

    /// Reads `directory` and what is below. With one thread nothing: take() reads then.
    void list(const std::string& directory);
    /// Of names that list() read, as many as were not left out.
    std::size_t count() const { return count_; }
    /// As SourceTree::children(), which is asked if the directory was not read, or could not be. Once per directory.
    std::vector<SourceFileInfo> take(const std::string& directory);

private:
    void work();
    /// Takes one that waits.
    std::string next();
    void list_one(const std::string& directory);

    const SourceTree& tree_;
    unsigned threads_;
    std::function<bool(const std::string&)> descends_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> waiting_;
    std::size_t busy_ = 0;
    std::size_t count_ = 0;
    std::unordered_map<std::string, std::vector<SourceFileInfo>> read_;
};

}  // namespace imgbuild::builder
