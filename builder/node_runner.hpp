// Carries out the nodes of one graph and keeps their results.
#pragma once

#include <imgbuild/progress.hpp>

#include "builder/context/source_tree.hpp"
#include "builder/context/url_tree.hpp"
#include "builder/file_system.hpp"
#include "builder/graph.hpp"
#include "builder/images.hpp"
#include "builder/ops/file_op.hpp"
#include "builder/ops/scaffold.hpp"
#include "builder/ops/step_mounts.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/step_costs.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

struct RunnerContext {
    const Graph& graph;
    const Images& images;
    LayerForms& forms;
    layers::Store& store;
    /// By name, "context" among them.
    std::map<std::string, std::shared_ptr<const SourceTree>> contexts;
    UrlAccess urls;
    /// Made when the first command really has to run.
    std::function<sandbox::Sandbox&()> sandbox;
    ProgressSink& progress;
    Platform platform;
    std::optional<std::int64_t> time_limit;
    CacheUse cache = CacheUse::read_and_write;
    /// Labels of stages (NodeOrigin::stage) for which nothing is found.
    std::set<std::string> uncached_stages = {};
    unsigned threads = 1;
    /// What layers are packed to that nobody reads.
    layers::Codec codec = {};
    /// By node (forms_read.hpp). Empty: all are read as trees.
    std::vector<Reading> readings = {};
    /// Null: nobody answers for secrets and agents.
    const Confidants* confidants = nullptr;
    /// One per node, or none at all: then nothing is remembered of what commands took.
    StepNames step_names = {};
    /// Returns when the node's command may run. Empty: at once.
    std::function<void(NodeId, const std::stop_token&)> await_turn = {};
    /// Is told of each layer that was not in the store before, by the thread of its node. May be empty.
    std::function<void(NodeId, const LayerPtr&)> on_new_layer = {};
};

/// run() may be called from several threads, once per node and after its inputs.
class NodeRunner {
public:
    /// Numbers the steps that `target` needs.
    NodeRunner(RunnerContext context, NodeId target);

    std::size_t steps() const { return steps_; }
    /// Reports start and end of the step. An error leaves with the place of the node's instruction.
    void run(NodeId id, std::stop_token stop);
    /// Says in a running step's output that its command waits for `memory` bytes.
    void tell_waiting(NodeId id, std::uint64_t memory) const;
    /// Of a node that has run.
    const FileSystem& result(NodeId id) const { return results_.at(id).fs; }

private:
    struct Result {
        FileSystem fs;
        std::shared_ptr<const SourceTree> local;
    };
    struct Ending {
        bool cached = false;
        std::string reason;
    };

    Ending carry_out_node(NodeId id, const Work& work);
    Ending image(NodeId id, const ImageSource& source, const Work& work);
    Ending local(NodeId id, const LocalSource& source);
    Ending http(NodeId id, const HttpSource& source, const Work& work);
    Ending put_layer(NodeId id, const FileSystem& base, LayerResult made);
    std::vector<ActionSource> sources_of(const File& file) const;
    MountSources sources_of(const Exec& exec) const;
    Ending merge(NodeId id, const Merge& merge);
    FileSystem base_of(const Node& node) const;
    OpContext op_context(NodeId id) const;

    RunnerContext context_;
    /// Of all steps.
    mutable Scaffolds scaffolds_;
    mutable KeptRoom kept_room_{96U << 20};
    std::vector<StepInfo> infos_;
    std::vector<Result> results_;
    std::size_t steps_ = 0;
};

}  // namespace imgbuild::builder
