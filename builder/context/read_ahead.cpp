#include "builder/context/read_ahead.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/checksums.hpp"
#include "builder/ops/keys.hpp"
#include "builder/ops/selection.hpp"

#include <algorithm>
#include <utility>

namespace imgbuild::builder {
namespace {

// What is looked at ahead waits in memory for who wants it.
constexpr std::size_t kMostNames = 200'000;
// As old as what a COPY of many files has looked at when it comes to copy them.
constexpr std::chrono::seconds kFresh{2};

class NobodyListens final : public ProgressSink {
public:
    void report(const Event&) noexcept override {}
};

bool selects_the_same(const CopyFiles& a, const CopyFiles& b) {
    return a.sources == b.sources && a.excludes == b.excludes && a.parents == b.parents;
}

std::size_t count_names(const Selection& selection) {
    std::size_t out = 0;
    for (const SelectedRoot& root : selection.roots) out += 1 + root.below.size();
    return out;
}

}  // namespace

ReadAhead::ReadAhead(std::shared_ptr<const SourceTree> tree, std::vector<CopyFiles> reads, layers::Store& store,
                     unsigned threads, Depth depth)
    : tree_(std::move(tree)), store_(store), threads_(threads), depth_(depth) {
    for (CopyFiles& read : reads) looks_.push_back({.read = std::move(read)});
    thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

ReadAhead::~ReadAhead() {
    reading_.request_stop();
}

void ReadAhead::wait() {
    if (thread_.joinable()) thread_.join();
}

void ReadAhead::work(const std::stop_token& stop) {
    look_at_all(stop);
    if (depth_ == Depth::contents) read_all();
}

void ReadAhead::look_at_all(const std::stop_token& stop) {
    std::size_t names = 0;
    for (Look& look : looks_) {
        std::shared_ptr<Selection> selection;
        if (names < kMostNames && !stop.stop_requested()) {
            try {
                selection = std::make_shared<Selection>(select_files(*tree_, look.read, threads_));
                names += count_names(*selection);
            } catch (const Error&) {
                // See the header.
            }
        }
        finish(look, std::move(selection));
    }
}

void ReadAhead::finish(Look& look, std::shared_ptr<Selection> selection) {
    const std::lock_guard lock(mutex_);
    look.selection = std::move(selection);
    look.done_at = std::chrono::steady_clock::now();
    look.done = true;
    changed_.notify_all();
}

void ReadAhead::read_all() {
    NobodyListens nobody;
    const Work work{.stop = reading_.get_token(), .progress = nobody};
    try {
        for (const Look& look : looks_) {
            if (work.stop.stop_requested()) return;
            std::shared_ptr<const Selection> selection;
            {
                const std::lock_guard lock(mutex_);
                selection = look.selection;
            }
            if (selection) content_checksums(*tree_, files_of(*selection), store_, threads_, work);
        }
    } catch (const Error&) {
        // See the header. Cancelled is one of them.
    }
}

std::unique_ptr<Selection> ReadAhead::selected_ahead(const CopyFiles& read) const {
    std::unique_lock lock(mutex_);
    const auto look = std::find_if(looks_.begin(), looks_.end(), [&](const Look& candidate) {
        return selects_the_same(candidate.read, read) && (!candidate.done || candidate.selection);
    });
    if (look == looks_.end()) return nullptr;
    changed_.wait(lock, [&] { return look->done; });
    const std::shared_ptr<Selection> selection = std::exchange(look->selection, nullptr);
    if (!selection || std::chrono::steady_clock::now() - look->done_at > kFresh) return nullptr;
    // read_all() may be looking at it still.
    if (depth_ == Depth::contents) return std::make_unique<Selection>(*selection);
    return std::make_unique<Selection>(std::move(*selection));
}

}  // namespace imgbuild::builder
