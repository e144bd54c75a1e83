#include "builder/pack_ahead.hpp"

#include <sys/resource.h>
#include <algorithm>
#include <exception>
#include <utility>

namespace imgbuild::builder {
namespace {

// A thirtieth of what a step gets that competes.
constexpr int kNiceness = 15;

// Steps that only place files of the user's or make directories are over before it would pay.
bool takes_its_time(const Graph& graph, const Node& node) {
    if (std::holds_alternative<Exec>(node.op)) return true;
    const auto* file = std::get_if<File>(&node.op);
    return file != nullptr && std::any_of(file->actions.begin(), file->actions.end(), [&](const FileAction& action) {
               const auto* copy = std::get_if<CopyFiles>(&action);
               return copy != nullptr && !std::holds_alternative<LocalSource>(graph[copy->from].op);
           });
}

void mark_below(const Graph& graph, NodeId id, bool time_above, std::vector<bool>& out) {
    for (std::optional<NodeId> at = id; at; at = graph[*at].base) {
        out[*at] = time_above;
        if (const auto* merge = std::get_if<Merge>(&graph[*at].op)) mark_below(graph, merge->top, time_above, out);
        time_above = time_above || takes_its_time(graph, graph[*at]);
    }
}

}  // namespace

std::vector<bool> worth_packing_ahead(const Graph& graph, NodeId target) {
    std::vector<bool> out(graph.size(), false);
    mark_below(graph, target, false, out);
    return out;
}

PackAhead::PackAhead(LayerForms& forms, std::optional<layers::Codec> codec, const Work& work)
    : forms_(forms),
      codec_(codec),
      stops_with_build_(work.stop, [this] { stop_.request_stop(); }),
      work_(work.with(stop_.get_token())) {}

PackAhead::~PackAhead() {
    stop_.request_stop();
    finish();
}

void PackAhead::add(LayerPtr layer) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(layer));
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_one();
}

bool PackAhead::is_busy() {
    const std::lock_guard lock(mutex_);
    return busy_;
}

void PackAhead::finish() {
    {
        const std::lock_guard lock(mutex_);
        waiting_.clear();
        ended_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void PackAhead::run() {
    // On Linux that is this thread's priority, and of the threads that it starts. To have less is nobody refused.
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
    std::unique_lock lock(mutex_);
    for (;;) {
        busy_ = false;
        changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        const LayerPtr layer = std::move(waiting_.front());
        waiting_.pop_front();
        busy_ = true;
        lock.unlock();
        try {
            pack(*layer);
        } catch (const std::exception&) {
            // Not swallowed: the image needs this form, so it is asked for again, and what is wrong is told there.
        }
        lock.lock();
    }
}

// By an object of its own, as steps that stand on the layer ask for its other forms meanwhile, and would wait.
void PackAhead::pack(Layer& layer) {
    Layer twin(layer.identity);
    {
        const std::lock_guard lock(layer.mutex);
        twin.id = layer.id;
        twin.diff_id = layer.diff_id;
    }
    if (codec_) {
        static_cast<void>(forms_.ensure_blob(twin, *codec_, work_));
    } else {
        static_cast<void>(forms_.ensure_diff_id(twin, work_));
    }
}

}  // namespace imgbuild::builder
