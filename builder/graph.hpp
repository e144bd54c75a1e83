// What a build consists of: a graph of operations on file systems. It knows nothing of the Dockerfile language; other
// front ends and library callers make the same graph.
//
// A node's result is a *file system*: a stack of layers. Exec and File put one layer on top of their base (input 0, or
// nothing for an empty file system); ImageSource stands for the layers of an image, LocalSource for a directory of the
// user's that other nodes read from. Nodes refer to earlier nodes only, so a graph has no cycles by construction and
// its order is the order in which errors are reported.
//
//     Graph graph;
//     NodeId base = graph.add({.op = ImageSource{…}});
//     NodeId made = graph.add({.op = Exec{.args = {"/bin/sh", "-c", "make"}}, .base = base});
//
// Immutable once lowered, and a value: to_json() and to_dot() print it (`imgbuild debug graph`). GitSource (DESIGN 2)
// joins the variant together with what carries it out.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>

#include "builder/exec.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace imgbuild::builder {

/// The layers of an image that was resolved before the graph was made.
struct ImageSource {
    /// Key into the list of resolved images, and what people see: the normal form of the reference, or
    /// "oci-layout://DIR[:TAG]".
    std::string locator;
};

/// A directory of the user's, less what its ignore file excludes.
struct LocalSource {
    /// "context" for the build context, else the name given to --build-context.
    std::string name;
};

/// One file behind a URL.
struct HttpSource {
    std::string url;
    /// The file's name in the node's result.
    std::string name;
    /// What its contents must be.
    std::optional<Digest> checksum;
};

/// Owner as written: names are looked up in the base's etc/passwd and etc/group, numbers are taken as they are.
struct OwnerText {
    std::string user;
    /// Empty: the user's group if the user is a name, the same number if it is one.
    std::string group;
};

/// Files from another node, as COPY and ADD do it.
struct CopyFiles {
    /// The node that the files come from: a LocalSource, an HttpSource or any file system.
    NodeId from = 0;
    /// Paths or wildcards relative to the root of `from`.
    std::vector<std::string> sources;
    /// Absolute. A trailing "/" says that it is a directory.
    std::string destination;
    std::optional<OwnerText> owner;
    /// As written: octal or symbolic.
    std::string mode;
    /// Patterns of an ignore file, relative to each source.
    std::vector<std::string> excludes;
    /// A local source that is an archive is unpacked (ADD).
    bool unpack_archives = false;
    /// The directories on the way to a source are copied with it, from the root of `from` or from where the source has
    /// a component "." ("a/./b/c": from a).
    bool parents = false;
};

/// A directory, with its parents (WORKDIR).
struct MakeDirectory {
    std::string path;
    std::optional<OwnerText> owner;
    std::uint32_t mode = 0755;
};

/// A file whose bytes the build file itself holds (COPY <<EOF).
struct MakeFile {
    /// Name for a destination that is a directory.
    std::string name;
    std::string destination;
    std::string content;
    std::optional<OwnerText> owner;
    std::string mode;
};

using FileAction = std::variant<CopyFiles, MakeDirectory, MakeFile>;

/// Changes that we make ourselves, without a process; all of them in one layer.
struct File {
    std::vector<FileAction> actions;
    /// Where names of owners are looked up, if not in the base: a layer that stands on nothing may belong to somebody.
    std::optional<NodeId> users = {};
};

/// The layers of another node on top of the base's, as they are: they were made without knowing it (COPY --link).
struct Merge {
    NodeId top = 0;
};

using Op = std::variant<ImageSource, LocalSource, HttpSource, Exec, File, Merge>;

/// Where a node comes from, for progress and errors; in no key.
struct NodeOrigin {
    /// Name of the stage or its index; empty for what belongs to no stage.
    std::string stage;
    std::string instruction;
    SourceSpan where;
};

struct Node {
    Op op;
    /// The file system on which Exec and File work; nothing: an empty one.
    std::optional<NodeId> base;
    NodeOrigin origin;
};

class Graph {
public:
    /// Precondition: every node that `node` refers to is in the graph.
    NodeId add(Node node);

    std::size_t size() const { return nodes_.size(); }
    const Node& operator[](NodeId id) const { return nodes_.at(id); }

private:
    std::vector<Node> nodes_;
};

/// The nodes whose results `node` needs, base first, each once.
std::vector<NodeId> inputs_of(const Node& node);

/// Which nodes are needed for `target`, by number.
std::vector<bool> needed_for(const Graph& graph, NodeId target);

/// "image", "local", "http", "exec", "file" or "merge".
std::string_view op_name(const Op& op);

/// Canonical: member names sorted, arrays in order. `target` may be nothing (an image without layers).
std::string to_json(const Graph& graph, std::optional<NodeId> target, const Platform& platform);
/// For graphviz.
std::string to_dot(const Graph& graph, std::optional<NodeId> target);

}  // namespace imgbuild::builder
