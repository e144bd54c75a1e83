#include "builder/forms_read.hpp"

#include "util/overloaded.hpp"

namespace imgbuild::builder {
namespace {

using util::overloaded;

class Readers {
public:
    explicit Readers(const Graph& graph) : graph_(graph), readings_(graph.size(), Reading::packed) {}

    void visit(const Node& node) {
        std::visit(overloaded{
                       [&](const Exec& exec) {
                           if (node.base) read(*node.base, Reading::as_tree);
                           for (const ExecMount& mount : exec.mounts) {
                               if (const auto from = source_of(mount)) read(*from, Reading::as_tree);
                           }
                       },
                       [&](const File& file) {
                           for (const FileAction& action : file.actions) {
                               if (const auto* copy = std::get_if<CopyFiles>(&action))
                                   read(copy->from, Reading::copied);
                           }
                       },
                       [](const auto&) {},
                   },
                   node.op);
    }

    // All layers of a result, down to the first that were marked before.
    void read(NodeId id, Reading how) {
        if (readings_[id] >= how) return;
        readings_[id] = how;
        const Node& node = graph_[id];
        if (const auto* merge = std::get_if<Merge>(&node.op)) read(merge->top, how);
        if (node.base) read(*node.base, how);
    }

    std::vector<Reading> take() { return std::move(readings_); }

private:
    const Graph& graph_;
    std::vector<Reading> readings_;
};

}  // namespace

std::vector<Reading> readings(const Graph& graph, NodeId target, Reading of_target) {
    Readers readers(graph);
    readers.read(target, of_target);
    const std::vector<bool> needed = needed_for(graph, target);
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (needed[id]) readers.visit(graph[id]);
    }
    return readers.take();
}

}  // namespace imgbuild::builder
