#include "builder/context/listing.hpp"

#include <imgbuild/error.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace imgbuild::builder {
namespace {

// With fewer directories that wait the threads cost more than they bring.
constexpr std::size_t kWorthThreads = 4;
// Reading ahead stops here; whoever takes will find that they are too many.
constexpr std::size_t kMaxRead = 1'100'000;

}  // namespace

void Listing::list(const std::string& directory) {
    if (threads_ < 2) return;
    list_one(directory);
    // The tree may begin with a single directory, and have a thousand below that.
    while (!waiting_.empty() && waiting_.size() < kWorthThreads) list_one(next());
    if (waiting_.empty()) return;
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < threads_; ++i) helpers.emplace_back([this] { work(); });
    work();
}

std::string Listing::next() {
    std::string out = std::move(waiting_.back());
    waiting_.pop_back();
    return out;
}

std::vector<SourceFileInfo> Listing::take(const std::string& directory) {
    const auto found = read_.find(directory);
    if (found == read_.end()) return tree_.children(directory);
    std::vector<SourceFileInfo> out = std::move(found->second);
    read_.erase(found);
    return out;
}

void Listing::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return !waiting_.empty() || busy_ == 0; });
        if (waiting_.empty()) return;
        const std::string directory = next();
        ++busy_;
        lock.unlock();
        list_one(directory);
        lock.lock();
        --busy_;
        if (busy_ == 0) changed_.notify_all();
    }
}

void Listing::list_one(const std::string& directory) {
    std::vector<SourceFileInfo> children;
    try {
        children = tree_.children(directory);
    } catch (...) {
        // It must not leave a thread. take() comes across it again, in the order in which one thread would have.
        return;
    }
    std::vector<std::string> more;
    for (const SourceFileInfo& child : children) {
        const bool wanted = child.entry.type == layers::EntryType::directory && descends_(child.entry.path);
        if (wanted) more.push_back(child.entry.path);
    }
    const std::lock_guard lock(mutex_);
    count_ += children.size();
    if (count_ < kMaxRead) waiting_.insert(waiting_.end(), more.begin(), more.end());
    read_.emplace(directory, std::move(children));
    changed_.notify_all();
}

}  // namespace imgbuild::builder
