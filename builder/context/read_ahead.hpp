// Using the time before a build comes to its first COPY: what it is going to select of the context is looked at while
// names are resolved and earlier steps are looked up, and read while a registry is waited for.
//
//     auto context = std::make_shared<ReadAhead>(tree, context_reads(…), store, threads, ReadAhead::Depth::contents);
//     …                                                          // names are resolved
//     context->stop_reading();
//     select_files(*context, copy, threads);                     // is there already, or nearly
//
// The tree is the same as without. What was looked at some time ago is not given out any more, but looked at anew, so
// that a file which changes while long steps run is seen as it is then.
#pragma once

#include "builder/context/source_tree.hpp"
#include "builder/graph.hpp"
#include "layers/store.hpp"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace imgbuild::builder {

class ReadAhead final : public SourceTree {
public:
    enum class Depth {
        /// Which files there are.
        names,
        /// And their checksums, which the store remembers.
        contents,
    };

    /// Begins at once, in a thread of its own, and ends with the object. Errors are not told: whoever wants the files
    /// meets them again, and has a place to tell.
    ReadAhead(std::shared_ptr<const SourceTree> tree, std::vector<CopyFiles> reads, layers::Store& store,
              unsigned threads, Depth depth);
    ~ReadAhead() override;

    /// No contents from here on: who needs them is about to read them himself.
    void stop_reading() { reading_.request_stop(); }
    /// Until there is nothing more to do.
    void wait();

    void prepare(const Work& work) const override { tree_->prepare(work); }
    std::optional<Digest> identity() const override { return tree_->identity(); }
    bool keeps_times() const override { return tree_->keeps_times(); }
    std::optional<SourceFileInfo> find(std::string_view path) const override { return tree_->find(path); }
    std::string resolve(std::string_view path) const override { return tree_->resolve(path); }
    std::vector<SourceFileInfo> children(std::string_view directory) const override {
        return tree_->children(directory);
    }
    layers::OpenContent open(const SourceFileInfo& file) const override { return tree_->open(file); }
    void learn(const std::vector<const SourceFileInfo*>& files, const std::vector<Digest>& contents) const override {
        tree_->learn(files, contents);
    }
    std::string why_absent(std::string_view path) const override { return tree_->why_absent(path); }
    /// Waits if it is under way.
    std::unique_ptr<Selection> selected_ahead(const CopyFiles& read) const override;

private:
    struct Look {
        CopyFiles read;
        bool done = false;
        std::chrono::steady_clock::time_point done_at = {};
        /// Null if it failed, was not made, or was given out.
        std::shared_ptr<Selection> selection = {};
    };

    void work(const std::stop_token& stop);
    void look_at_all(const std::stop_token& stop);
    void read_all();
    void finish(Look& look, std::shared_ptr<Selection> selection);

    std::shared_ptr<const SourceTree> tree_;
    layers::Store& store_;
    unsigned threads_;
    Depth depth_;
    std::stop_source reading_;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    mutable std::vector<Look> looks_;
    /// Last, so that it ends before what it uses.
    std::jthread thread_;
};

}  // namespace imgbuild::builder
