#include "builder/scheduler.hpp"

#include <imgbuild/error.hpp>

#include "util/assert.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

namespace imgbuild::builder {

std::vector<std::chrono::milliseconds> longest_paths(const Graph& graph, NodeId target,
                                                     const std::vector<NodeCost>& costs) {
    const std::vector<bool> wanted = needed_for(graph, target);
    std::vector<std::chrono::milliseconds> out(graph.size(), std::chrono::milliseconds(0));
    // Inputs come before those who need them, so from the back every node's own way is known before its inputs'.
    for (NodeId id = graph.size(); id-- > 0;) {
        if (!wanted[id]) continue;
        out[id] += costs.at(id).time;
        for (const NodeId input : inputs_of(graph[id])) out[input] = std::max(out[input], out[id]);
    }
    return out;
}

Plan::Plan(const Graph& graph, NodeId target, std::vector<NodeCost> costs)
    : costs_(std::move(costs)),
      wanted_(needed_for(graph, target)),
      waiting_for_(graph.size()),
      dependants_(graph.size()) {
    costs_.resize(graph.size());
    paths_ = longest_paths(graph, target, costs_);
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (!wanted_[id]) continue;
        ++left_;
        const std::vector<NodeId> inputs = inputs_of(graph[id]);
        waiting_for_[id] = inputs.size();
        for (const NodeId input : inputs) dependants_[input].push_back(id);
        if (inputs.empty()) ready_.insert(turn_of(id));
    }
}

std::vector<NodeId> Plan::start(std::size_t at_most) {
    std::vector<NodeId> out;
    while (out.size() < at_most && !ready_.empty()) {
        out.push_back(ready_.begin()->second);
        ready_.erase(ready_.begin());
    }
    running_ += out.size();
    return out;
}

void Plan::ask(NodeId node) {
    IMGBUILD_ASSERT(running_ > 0 && !admitted_.contains(node));
    --running_;
    asking_.insert(turn_of(node));
}

// Written so that sums of numbers from outside do not wrap.
bool Plan::fits(NodeId node, std::uint64_t memory) const {
    const std::uint64_t wanted = costs_[node].memory;
    if (wanted == 0 || admitted_.empty()) return true;
    return memory_ <= memory && wanted <= memory - memory_;
}

std::vector<NodeId> Plan::admit(std::size_t at_most, std::uint64_t memory) {
    std::vector<NodeId> out;
    for (auto at = asking_.begin(); at != asking_.end() && out.size() < at_most;) {
        const NodeId node = at->second;
        if (!fits(node, memory)) {
            ++at;
            continue;
        }
        at = asking_.erase(at);
        admitted_.insert(node);
        memory_ += costs_[node].memory;
        out.push_back(node);
    }
    running_ += out.size();
    return out;
}

std::vector<NodeId> Plan::held_up(std::uint64_t memory) const {
    std::vector<NodeId> out;
    for (const Turn& turn : asking_) {
        if (!fits(turn.second, memory)) out.push_back(turn.second);
    }
    return out;
}

void Plan::finish(NodeId node) {
    IMGBUILD_ASSERT(left_ > 0);
    --left_;
    if (asking_.erase(turn_of(node)) == 0) {
        IMGBUILD_ASSERT(running_ > 0);
        --running_;
    }
    if (admitted_.erase(node) != 0) memory_ -= costs_[node].memory;
    for (const NodeId dependant : dependants_.at(node)) {
        if (--waiting_for_[dependant] == 0) ready_.insert(turn_of(dependant));
    }
}

namespace {

/// What a worker posts.
struct News {
    enum class Kind { asks, ended };
    NodeId node;
    Kind kind = Kind::ended;
    std::exception_ptr failure = {};
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

    News wait() {
        std::unique_lock lock(mutex_);
        news_wake_.wait(lock, [this] { return !news_.empty(); });
        News out = std::move(news_.front());
        news_.pop_front();
        return out;
    }

    void admit(NodeId node) {
        const std::lock_guard lock(mutex_);
        admitted_.insert(node);
        admitted_wake_.notify_all();
    }

    /// Called by a body.
    void await_admission(NodeId node, const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        post({.node = node, .kind = News::Kind::asks});
        if (!admitted_wake_.wait(lock, stop, [&] { return admitted_.contains(node); })) throw Cancelled();
    }

private:
    void post(News news) {
        news_.push_back(std::move(news));
        news_wake_.notify_one();
    }

    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return closing_ || !todo_.empty(); });
            if (todo_.empty()) return;
            News news{.node = todo_.front()};
            todo_.pop_front();
            --idle_;
            lock.unlock();
            try {
                body_(news.node, stop_);
            } catch (...) {
                news.failure = std::current_exception();
            }
            lock.lock();
            ++idle_;
            post(std::move(news));
        }
    }

    const std::function<void(NodeId, std::stop_token)>& body_;
    std::stop_token stop_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable news_wake_;
    std::condition_variable_any admitted_wake_;
    std::deque<NodeId> todo_;
    std::deque<News> news_;
    std::set<NodeId> admitted_;
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

struct Scheduler::State {
    Plan plan;
    SchedulerOptions options;
    bool counts_memory;
    /// While run() runs.
    Workers* workers = nullptr;
    std::uint64_t memory = std::numeric_limits<std::uint64_t>::max();
    std::set<NodeId> told = {};

    void admit() {
        if (plan.asking() == 0) return;
        // What is free while commands run says little: they have not taken yet what they will take.
        if (counts_memory && plan.commands() == 0) memory = options.free_memory();
        for (const NodeId node : plan.admit(options.jobs - plan.running(), memory)) workers->admit(node);
        if (!options.on_wait) return;
        for (const NodeId node : plan.held_up(memory)) {
            if (told.insert(node).second) options.on_wait(node);
        }
    }

    void start_what_can() {
        admit();
        for (const NodeId node : plan.start(options.jobs - plan.running())) workers->start(node);
    }
};

Scheduler::Scheduler(const Graph& graph, NodeId target, SchedulerOptions options) {
    IMGBUILD_ASSERT(options.jobs > 0);
    const bool counts = options.free_memory && std::any_of(options.costs.begin(), options.costs.end(),
                                                           [](const NodeCost& cost) { return cost.memory != 0; });
    Plan plan(graph, target, options.costs);
    state_.reset(new State{.plan = std::move(plan), .options = std::move(options), .counts_memory = counts});
}

Scheduler::~Scheduler() = default;

void Scheduler::run(const std::stop_token& stop, const std::function<void(NodeId, std::stop_token)>& body) {
    Plan& plan = state_->plan;
    std::stop_source inner;
    const std::stop_callback forward(stop, [&inner] { inner.request_stop(); });
    std::map<NodeId, std::exception_ptr> failures;
    std::exception_ptr cancelled;
    {
        Workers workers(body, inner.get_token());
        state_->workers = &workers;
        while (!plan.complete()) {
            if (!inner.stop_requested()) state_->start_what_can();
            // Who asks when all is stopped ends by himself.
            if (plan.running() + plan.asking() == 0) break;
            const News news = workers.wait();
            if (news.kind == News::Kind::asks) {
                plan.ask(news.node);
                continue;
            }
            plan.finish(news.node);
            if (!news.failure) continue;
            inner.request_stop();
            if (is_cancelled(news.failure)) {
                cancelled = news.failure;
            } else {
                failures.emplace(news.node, news.failure);
            }
        }
    }
    if (!failures.empty()) std::rethrow_exception(failures.begin()->second);
    if (cancelled) std::rethrow_exception(cancelled);
    if (stop.stop_requested()) throw Cancelled();
    IMGBUILD_ASSERT(plan.complete());
}

void Scheduler::await_turn(NodeId node, const std::stop_token& stop) {
    state_->workers->await_admission(node, stop);
}

void run_graph(const Graph& graph, NodeId target, unsigned jobs, const std::stop_token& stop,
               const std::function<void(NodeId, std::stop_token)>& body) {
    Scheduler(graph, target, {.jobs = jobs}).run(stop, body);
}

}  // namespace imgbuild::builder
