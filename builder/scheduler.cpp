#include "builder/scheduler.hpp"

#include <imgbuild/error.hpp>

#include "util/assert.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

namespace imgbuild::builder {

Plan::Plan(const Graph& graph, NodeId target)
    : wanted_(needed_for(graph, target)), waiting_for_(graph.size()), dependants_(graph.size()) {
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (!wanted_[id]) continue;
        ++left_;
        const std::vector<NodeId> inputs = inputs_of(graph[id]);
        waiting_for_[id] = inputs.size();
        for (const NodeId input : inputs) dependants_[input].push_back(id);
        if (inputs.empty()) ready_.insert(id);
    }
}

std::vector<NodeId> Plan::start(std::size_t at_most) {
    std::vector<NodeId> out;
    while (out.size() < at_most && !ready_.empty()) {
        out.push_back(*ready_.begin());
        ready_.erase(ready_.begin());
    }
    running_ += out.size();
    return out;
}

void Plan::finish(NodeId node) {
    IMGBUILD_ASSERT(running_ > 0 && left_ > 0);
    --running_;
    --left_;
    for (const NodeId dependant : dependants_.at(node)) {
        if (--waiting_for_[dependant] == 0) ready_.insert(dependant);
    }
}

namespace {

struct Ended {
    NodeId node;
    std::exception_ptr failure;
};

// Threads are made as they are needed and kept; a node never waits for a thread while fewer than `jobs` run.
class Workers {
public:
    Workers(const std::function<void(NodeId, std::stop_token)>& body, std::stop_token stop)
        : body_(body), stop_(std::move(stop)) {}

    ~Workers() {
        {
            const std::lock_guard lock(mutex_);
            closing_ = true;
        }
        wake_.notify_all();
    }

    void start(NodeId node) {
        const std::lock_guard lock(mutex_);
        todo_.push_back(node);
        if (idle_ < todo_.size()) {
            ++idle_;
            threads_.emplace_back([this] { serve(); });
        }
        wake_.notify_one();
    }

    Ended wait() {
        std::unique_lock lock(mutex_);
        ended_wake_.wait(lock, [this] { return !ended_.empty(); });
        Ended out = ended_.front();
        ended_.pop_front();
        return out;
    }

private:
    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return closing_ || !todo_.empty(); });
            if (todo_.empty()) return;
            const NodeId node = todo_.front();
            todo_.pop_front();
            --idle_;
            lock.unlock();
            Ended ended{.node = node, .failure = nullptr};
            try {
                body_(node, stop_);
            } catch (...) {
                ended.failure = std::current_exception();
            }
            lock.lock();
            ++idle_;
            ended_.push_back(std::move(ended));
            ended_wake_.notify_one();
        }
    }

    const std::function<void(NodeId, std::stop_token)>& body_;
    std::stop_token stop_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable ended_wake_;
    std::deque<NodeId> todo_;
    std::deque<Ended> ended_;
    std::size_t idle_ = 0;
    bool closing_ = false;
    /// Last, so that they end before what they use.
    std::vector<std::jthread> threads_;
};

bool is_cancelled(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const Cancelled&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace

void run_graph(const Graph& graph, NodeId target, unsigned jobs, std::stop_token stop,
               const std::function<void(NodeId, std::stop_token)>& body) {
    Plan plan(graph, target);
    std::stop_source inner;
    const std::stop_callback forward(stop, [&inner] { inner.request_stop(); });
    std::map<NodeId, std::exception_ptr> failures;
    std::exception_ptr cancelled;
    {
        Workers workers(body, inner.get_token());
        while (!plan.complete()) {
            if (!inner.stop_requested()) {
                for (const NodeId node : plan.start(jobs - plan.running())) workers.start(node);
            }
            if (plan.running() == 0) break;
            const Ended ended = workers.wait();
            plan.finish(ended.node);
            if (!ended.failure) continue;
            inner.request_stop();
            if (is_cancelled(ended.failure)) {
                cancelled = ended.failure;
            } else {
                failures.emplace(ended.node, ended.failure);
            }
        }
    }
    if (!failures.empty()) std::rethrow_exception(failures.begin()->second);
    if (cancelled) std::rethrow_exception(cancelled);
    if (stop.stop_requested()) throw Cancelled();
    IMGBUILD_ASSERT(plan.complete());
}

}  // namespace imgbuild::builder
