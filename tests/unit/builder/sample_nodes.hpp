// Nodes of graphs, for tests that only look at how they hang together.
#pragma once

#include "builder/graph.hpp"

#include <optional>
#include <utility>
#include <vector>

namespace imgbuild::builder::test {

inline Node image() {
    return {.op = ImageSource{"a"}, .base = {}, .origin = {}};
}
inline Node local() {
    return {.op = LocalSource{"context"}, .base = {}, .origin = {}};
}
inline Node exec(NodeId base, std::vector<ExecMount> mounts = {}) {
    return {.op = Exec{.args = {"true"}, .mounts = std::move(mounts)}, .base = base, .origin = {}};
}
inline Node copy(std::optional<NodeId> base, NodeId from) {
    return {.op = File{.actions = {CopyFiles{.from = from, .sources = {"a"}, .destination = "/a"}}},
            .base = base,
            .origin = {}};
}

}  // namespace imgbuild::builder::test
