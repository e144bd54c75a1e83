#include "builder/step_costs.hpp"

#include <imgbuild/reference.hpp>

#include "util/bytes.hpp"
#include "util/overloaded.hpp"

namespace imgbuild::builder {
namespace {

using std::chrono::milliseconds;

// "registry.example/base:1.2 linux/amd64" without tag and platform: another version of a base takes about as long.
std::string repository_of(const std::string& locator) {
    std::string name = locator.substr(0, locator.find(' '));
    try {
        return Reference::parse(name).repository();
    } catch (const Error&) {
        return name;  // a layout's directory, say
    }
}

// Each with its length, so that two lists of words are never the same bytes.
void update(util::Sha256& hash, std::string_view word) {
    const std::string size = std::to_string(word.size()) + ":";
    hash.update(std::string_view(size));
    hash.update(word);
}

milliseconds guess(const Op& op) {
    return std::visit(util::overloaded{
                          [](const Exec&) { return milliseconds(1000); },
                          [](const HttpSource&) { return milliseconds(500); },
                          [](const File&) { return milliseconds(50); },
                          [](const auto&) { return milliseconds(0); },
                      },
                      op);
}

}  // namespace

StepNames name_steps(const Graph& graph, const Platform& platform) {
    StepNames out(graph.size());
    std::vector<std::string> bases(graph.size());
    for (NodeId id = 0; id < graph.size(); ++id) {
        const Node& node = graph[id];
        if (const auto* image = std::get_if<ImageSource>(&node.op)) bases[id] = repository_of(image->locator);
        if (node.base) bases[id] = bases[*node.base];
        const auto* exec = std::get_if<Exec>(&node.op);
        if (exec == nullptr) continue;
        util::Sha256 hash;
        update(hash, "step 1");
        update(hash, platform.text());
        update(hash, bases[id]);
        update(hash, node.origin.stage);
        update(hash, exec->workdir);
        for (const std::string& word : exec->args) update(hash, word);
        out[id] = hash.digest();
    }
    return out;
}

std::vector<NodeCost> find_costs(const Graph& graph, const StepNames& names, layers::Store& store) {
    std::vector<Digest> asked;
    for (const auto& name : names) {
        if (name) asked.push_back(*name);
    }
    const auto known = store.find_costs(asked);
    std::vector<NodeCost> out(graph.size());
    auto next = known.begin();
    for (NodeId id = 0; id < graph.size(); ++id) {
        out[id].time = guess(graph[id].op);
        if (!names[id]) continue;
        if (const auto& cost = *next++) {
            out[id].time = cost->time;
            if (cost->memory >= kSmallMemory) out[id].memory = cost->memory;
        }
    }
    return out;
}

}  // namespace imgbuild::builder
