// What each instruction does to a stage. One function per instruction; lower.cpp walks the stages and calls them.
#pragma once

#include <imgbuild/error.hpp>

#include "builder/frontend/arguments.hpp"
#include "builder/frontend/stage_state.hpp"
#include "builder/graph.hpp"
#include "parser/expand.hpp"
#include "parser/file.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace imgbuild::builder {

/// What an instruction may know beyond its stage.
struct InstructionContext {
    Graph& graph;
    const GlobalArguments& globals;
    char escape = '\\';
    std::shared_ptr<const SourceFile> file;
    /// The node for the build context, made when it is first asked for.
    std::function<NodeId()> build_context;
    /// The node for a file behind a URL.
    std::function<NodeId(const HttpSource& source, NodeOrigin origin)> http;
    /// The node for COPY --from: a stage, a named context or an image. Nothing: an empty stage.
    std::function<std::optional<NodeId>(const parser::Word& from)> from;
    const RunOptions& run_options;
    /// Nodes that hold files of a context for mounts, by the context's node and the path in it.
    std::map<std::pair<NodeId, std::string>, NodeId>& context_files;
};

/// Applies `instruction` to `stage`. Throws Error located at the instruction; what the parser accepts and we cannot
/// carry out yet is "usage.unsupported-instruction".
void apply_instruction(const parser::Instruction& instruction, StageState& stage, const InstructionContext& context);

}  // namespace imgbuild::builder
