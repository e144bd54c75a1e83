#include "builder/forms_read.hpp"

#include "util/overloaded.hpp"

namespace imgbuild::builder {
namespace {

using util::overloaded;

class Readers {
public:
    explicit Readers(const Graph& graph) : graph_(graph), read_(graph.size(), false) {}

    void visit(const Node& node) {
        std::visit(overloaded{
                       [&](const Exec& exec) {
                           if (node.base) read(*node.base);
                           for (const ExecMount& mount : exec.mounts) {
                               if (const auto from = source_of(mount)) read(*from);
                           }
                       },
                       [&](const File& file) {
                           for (const FileAction& action : file.actions) {
                               if (const auto* copy = std::get_if<CopyFiles>(&action)) read(copy->from);
                           }
                       },
                       [](const auto&) {},
                   },
                   node.op);
    }

    // All layers of a result, down to the first that were marked before.
    void read(NodeId id) {
        if (read_[id]) return;
        read_[id] = true;
        const Node& node = graph_[id];
        if (const auto* merge = std::get_if<Merge>(&node.op)) read(merge->top);
        if (node.base) read(*node.base);
    }

    std::vector<bool> take() { return std::move(read_); }

private:
    const Graph& graph_;
    std::vector<bool> read_;
};

}  // namespace

std::vector<bool> read_as_trees(const Graph& graph, NodeId target, bool target_is_read) {
    Readers readers(graph);
    if (target_is_read) readers.read(target);
    const std::vector<bool> needed = needed_for(graph, target);
    for (NodeId id = 0; id < graph.size(); ++id) {
        if (needed[id]) readers.visit(graph[id]);
    }
    return readers.take();
}

}  // namespace imgbuild::builder
