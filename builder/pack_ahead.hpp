// Packing layers of the result while later steps run.
#pragma once

#include "builder/graph.hpp"
#include "builder/layer_forms.hpp"
#include "builder/work.hpp"
#include "layers/codec.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

namespace imgbuild::builder {

/// By node: does its layer go into the image of `target`, and does something stand on it there that takes its time (a
/// command, or a copy from another stage)? Then there is time to pack it. Pure.
std::vector<bool> worth_packing_ahead(const Graph& graph, NodeId target);

/// One layer after the other, in a thread that gives way to steps. add() may be called from any thread.
class PackAhead {
public:
    /// By `codec`; without one only diff ids are wanted. `forms` outlives this.
    PackAhead(LayerForms& forms, std::optional<layers::Codec> codec, const Work& work);
    /// Stops what is under way.
    ~PackAhead();
    PackAhead(const PackAhead&) = delete;
    PackAhead& operator=(const PackAhead&) = delete;

    void add(LayerPtr layer);
    /// Is something under way?
    bool is_busy();
    /// Begins nothing more, and waits for what is under way. Whoever asks for a form that is not there makes it.
    void finish();

private:
    void run();
    void pack(Layer& layer);

    LayerForms& forms_;
    std::optional<layers::Codec> codec_;
    std::stop_source stop_;
    std::stop_callback<std::function<void()>> stops_with_build_;
    Work work_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<LayerPtr> waiting_;
    bool busy_ = false;
    bool ended_ = false;
    std::thread thread_;
};

}  // namespace imgbuild::builder
