// Who runs when. The graph's nodes run as soon as their inputs are there, many at a time.
//
// Plan is the pure half: which nodes are wanted, ready, running, done. One coordinator (the thread that calls
// run_graph) owns it; workers run one node and post how it ended. After the first failure nothing new is started, what
// runs is asked to stop, and the failure that is reported is the first in graph order among those that happened.
#pragma once

#include "builder/graph.hpp"

#include <cstddef>
#include <functional>
#include <set>
#include <stop_token>
#include <vector>

namespace imgbuild::builder {

class Plan {
public:
    Plan(const Graph& graph, NodeId target);

    /// Ready nodes in graph order; they are running from now on.
    std::vector<NodeId> start(std::size_t at_most);
    void finish(NodeId node);

    bool is_wanted(NodeId node) const { return wanted_.at(node); }
    std::size_t running() const { return running_; }
    bool complete() const { return left_ == 0; }

private:
    std::vector<bool> wanted_;
    /// Inputs that are not done yet.
    std::vector<std::size_t> waiting_for_;
    std::vector<std::vector<NodeId>> dependants_;
    std::set<NodeId> ready_;
    std::size_t running_ = 0;
    std::size_t left_ = 0;
};

/// Runs `body` for every node that `target` needs, inputs first, at most `jobs` at once, each on a thread of its own
/// choosing. Throws the failure told above, or Cancelled.
void run_graph(const Graph& graph, NodeId target, unsigned jobs, std::stop_token stop,
               const std::function<void(NodeId, std::stop_token)>& body);

}  // namespace imgbuild::builder
