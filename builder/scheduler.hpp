// Who runs when. The graph's nodes run as soon as their inputs are there, many at a time.
//
// Two things can make a node wait that could run. There are only so many jobs; then the one goes first that most of
// the build still depends on (longest_paths()). And commands need memory: before one begins, its node asks, and is
// admitted when what its command took the last time fits beside what those that run now took (NodeCost::memory). Only
// commands ask, and only when they really have to run, so what is found in the cache never waits for memory. While a
// node waits for memory it takes no job. It holds what it has locked (claims, caches) but waits for nobody who could
// wait for that, since who is admitted waits for nothing any more; and a command that runs alone is always admitted.
//
// Plan is the pure half: which nodes are wanted, ready, running, asking, done. One coordinator (the thread that calls
// Scheduler::run) owns it; workers run one node and post how it ended. After the first failure nothing new is started,
// what runs is asked to stop, and the failure that is reported is the first in graph order among those that happened.
#pragma once

#include "builder/graph.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// What a node is going to take, from earlier builds or by guess (step_costs.hpp). Wrong numbers cost time only.
struct NodeCost {
    std::chrono::milliseconds time{0};
    /// Of its command, bytes. 0: so little that it need not be counted, or nobody knows.
    std::uint64_t memory = 0;
};

/// For each node, how long the build takes from its start to the end of `target` if nothing holds it up: its own time
/// and that of the slowest chain of nodes behind it. 0 for those that the target does not need. `costs`: one per node.
std::vector<std::chrono::milliseconds> longest_paths(const Graph& graph, NodeId target,
                                                     const std::vector<NodeCost>& costs);

class Plan {
public:
    /// `costs`: one per node, or none at all: then all nodes are alike.
    Plan(const Graph& graph, NodeId target, std::vector<NodeCost> costs = {});

    /// Ready nodes, those with the longest way before them first, equal ones in graph order. They run from now on.
    std::vector<NodeId> start(std::size_t at_most);
    /// A running node has a command to run. It does not count as running until it is admitted.
    void ask(NodeId node);
    /// Asking nodes, in the same order, whose commands fit into `memory` (bytes) beside those that were admitted before
    /// and are not done; one that does not fit is passed over. They run again from now on.
    std::vector<NodeId> admit(std::size_t at_most, std::uint64_t memory);
    /// Asking nodes that do not fit now.
    std::vector<NodeId> held_up(std::uint64_t memory) const;
    /// A running or asking node.
    void finish(NodeId node);

    bool is_wanted(NodeId node) const { return wanted_.at(node); }
    std::size_t running() const { return running_; }
    std::size_t asking() const { return asking_.size(); }
    /// Commands that were admitted and are not done.
    std::size_t commands() const { return admitted_.size(); }
    bool complete() const { return left_ == 0; }

private:
    /// The longest way first, then graph order.
    using Turn = std::pair<std::chrono::milliseconds, NodeId>;
    Turn turn_of(NodeId node) const { return {-paths_[node], node}; }
    bool fits(NodeId node, std::uint64_t memory) const;

    std::vector<NodeCost> costs_;
    std::vector<std::chrono::milliseconds> paths_;
    std::vector<bool> wanted_;
    /// Inputs that are not done yet.
    std::vector<std::size_t> waiting_for_;
    std::vector<std::vector<NodeId>> dependants_;
    std::set<Turn> ready_;
    std::set<Turn> asking_;
    std::set<NodeId> admitted_;
    /// Of the admitted ones.
    std::uint64_t memory_ = 0;
    std::size_t running_ = 0;
    std::size_t left_ = 0;
};

struct SchedulerOptions {
    /// Most nodes at once; at least 1.
    unsigned jobs = 1;
    /// As for Plan.
    std::vector<NodeCost> costs = {};
    /// Bytes that commands can have in all. Asked by the coordinator while none runs, if any command needs to be
    /// counted. Empty: as much as they want.
    std::function<std::uint64_t()> free_memory = {};
    /// Told by the coordinator, once for each command that has to wait for memory. May be empty.
    std::function<void(NodeId)> on_wait = {};
};

class Scheduler {
public:
    Scheduler(const Graph& graph, NodeId target, SchedulerOptions options);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// Runs `body` for every node that the target needs, inputs first, each on a thread of its own choosing. Throws the
    /// failure told above, or Cancelled. To be called once.
    void run(const std::stop_token& stop, const std::function<void(NodeId, std::stop_token)>& body);

    /// For the body of `node`, at most once: returns when its command may run. Throws Cancelled.
    void await_turn(NodeId node, const std::stop_token& stop);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The same for those who have no commands.
void run_graph(const Graph& graph, NodeId target, unsigned jobs, const std::stop_token& stop,
               const std::function<void(NodeId, std::stop_token)>& body);

}  // namespace imgbuild::builder
