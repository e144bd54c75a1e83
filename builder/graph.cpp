#include "builder/graph.hpp"

#include "util/assert.hpp"
#include "util/overloaded.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace imgbuild::builder {
namespace {

using nlohmann::json;
using util::overloaded;

std::optional<json> owner_json(const std::optional<OwnerText>& owner) {
    if (!owner) return std::nullopt;
    return json(owner->group.empty() ? owner->user : owner->user + ":" + owner->group);
}

json action_json(const FileAction& action) {
    json out;
    const auto put_owner = [&out](const std::optional<OwnerText>& owner) {
        if (const auto value = owner_json(owner)) out["owner"] = *value;
    };
    std::visit(overloaded{
                   [&](const CopyFiles& copy) {
                       out = {{"do", "copy"}, {"from", copy.from}, {"sources", copy.sources}, {"to", copy.destination}};
                       put_owner(copy.owner);
                       if (!copy.mode.empty()) out["mode"] = copy.mode;
                       if (!copy.excludes.empty()) out["excludes"] = copy.excludes;
                       if (copy.unpack_archives) out["unpack"] = true;
                       if (copy.parents) out["parents"] = true;
                   },
                   [&](const MakeDirectory& make) {
                       out = {{"do", "mkdir"}, {"to", make.path}, {"mode", fmt::format("{:04o}", make.mode)}};
                       put_owner(make.owner);
                   },
                   [&](const MakeFile& make) {
                       out = {{"do", "mkfile"}, {"to", make.destination}, {"name", make.name}};
                       out["bytes"] = make.content.size();
                       put_owner(make.owner);
                       if (!make.mode.empty()) out["mode"] = make.mode;
                   },
               },
               action);
    return out;
}

void put_source(json& out, const std::optional<NodeId>& from, const std::string& source) {
    if (from) out["from"] = *from;
    if (!source.empty()) out["source"] = source;
}

json mount_json(const ExecMount& mount) {
    return std::visit(overloaded{
                          [](const BindMount& bind) {
                              json out = {{"type", "bind"}, {"target", bind.target}};
                              put_source(out, bind.from, bind.source);
                              if (bind.writable) out["writable"] = true;
                              return out;
                          },
                          [](const CacheMount& cache) {
                              json out = {{"type", "cache"}, {"target", cache.target}, {"id", cache.id}};
                              put_source(out, cache.from, cache.source);
                              out["sharing"] = name_of(cache.sharing);
                              if (cache.read_only) out["read-only"] = true;
                              out["owner"] = fmt::format("{}:{}", cache.uid, cache.gid);
                              out["mode"] = fmt::format("{:04o}", cache.mode);
                              return out;
                          },
                          [](const TmpfsMount& tmpfs) {
                              json out = {{"type", "tmpfs"}, {"target", tmpfs.target}};
                              if (tmpfs.size != 0) out["size"] = tmpfs.size;
                              return out;
                          },
                          [](const SecretMount& secret) {
                              json out = {{"type", "secret"}, {"id", secret.id}, {"required", secret.required}};
                              if (!secret.env.empty()) out["env"] = secret.env;
                              if (secret.target.empty()) return out;
                              out["target"] = secret.target;
                              out["owner"] = fmt::format("{}:{}", secret.uid, secret.gid);
                              out["mode"] = fmt::format("{:04o}", secret.mode);
                              return out;
                          },
                          [](const SshMount& ssh) {
                              return json{{"type", "ssh"},
                                          {"id", ssh.id},
                                          {"target", ssh.target},
                                          {"required", ssh.required},
                                          {"owner", fmt::format("{}:{}", ssh.uid, ssh.gid)},
                                          {"mode", fmt::format("{:04o}", ssh.mode)}};
                          },
                      },
                      mount);
}

json exec_json(const Exec& exec) {
    json out = {{"args", exec.args}, {"env", exec.env}, {"workdir", exec.workdir}};
    if (!exec.user.empty()) out["user"] = exec.user;
    out["network"] = exec.network == Network::host ? "host" : "none";
    if (exec.security == Security::insecure) out["security"] = "insecure";
    for (const ExecMount& mount : exec.mounts) out["mounts"].push_back(mount_json(mount));
    for (const Script& script : exec.scripts) out["scripts"].push_back({{"name", script.name}, {"text", script.text}});
    for (const auto& host : exec.hosts) out["hosts"].push_back(host.first + " " + host.second);
    for (const Ulimit& limit : exec.ulimits) {
        out["ulimits"].push_back(fmt::format("{}={}:{}", limit.name, limit.soft, limit.hard));
    }
    if (exec.shm_size != 0) out["shm-size"] = exec.shm_size;
    return out;
}

json op_json(const Op& op) {
    json out = {{"op", op_name(op)}};
    std::visit(overloaded{
                   [&](const ImageSource& image) { out["image"] = image.locator; },
                   [&](const LocalSource& local) { out["context"] = local.name; },
                   [&](const HttpSource& http) {
                       out["url"] = http.url;
                       out["name"] = http.name;
                       if (http.checksum) out["checksum"] = http.checksum->text();
                   },
                   [&](const Exec& exec) { out.update(exec_json(exec)); },
                   [&](const File& file) {
                       for (const FileAction& action : file.actions) out["actions"].push_back(action_json(action));
                       if (file.users) out["users"] = *file.users;
                   },
                   [&](const Merge& merge) { out["top"] = merge.top; },
               },
               op);
    return out;
}

std::string dump(const json& value) {
    // Bytes of the user's that are no UTF-8 must not keep anybody from looking at the graph.
    return value.dump(2, ' ', false, json::error_handler_t::replace);
}

std::string dot_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

std::string label_of(const Node& node) {
    if (!node.origin.instruction.empty()) return node.origin.instruction;
    return std::visit(overloaded{
                          [](const ImageSource& image) { return "FROM " + image.locator; },
                          [](const LocalSource& local) { return "context " + local.name; },
                          [](const HttpSource& http) { return http.url; },
                          [](const Exec&) { return std::string("exec"); },
                          [](const File&) { return std::string("file"); },
                          [](const Merge&) { return std::string("merge"); },
                      },
                      node.op);
}

}  // namespace

NodeId Graph::add(Node node) {
    for (const NodeId input : inputs_of(node)) IMGBUILD_ASSERT(input < nodes_.size());
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
}

std::optional<NodeId> source_of(const ExecMount& mount) {
    if (const auto* bind = std::get_if<BindMount>(&mount)) return bind->from;
    if (const auto* cache = std::get_if<CacheMount>(&mount)) return cache->from;
    return std::nullopt;
}

std::string_view name_of(CacheMount::Sharing sharing) {
    switch (sharing) {
        case CacheMount::Sharing::shared:
            return "shared";
        case CacheMount::Sharing::exclusive:
            return "private";
        case CacheMount::Sharing::locked:
            return "locked";
    }
    std::unreachable();
}

std::vector<NodeId> inputs_of(const Node& node) {
    std::vector<NodeId> out;
    const auto add = [&out](NodeId id) {
        if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
    };
    if (node.base) add(*node.base);
    if (const auto* exec = std::get_if<Exec>(&node.op)) {
        for (const ExecMount& mount : exec->mounts) {
            if (const auto from = source_of(mount)) add(*from);
        }
    }
    if (const auto* file = std::get_if<File>(&node.op)) {
        for (const FileAction& action : file->actions) {
            if (const auto* copy = std::get_if<CopyFiles>(&action)) add(copy->from);
        }
        if (file->users) add(*file->users);
    }
    if (const auto* merge = std::get_if<Merge>(&node.op)) add(merge->top);
    return out;
}

std::vector<bool> needed_for(const Graph& graph, NodeId target) {
    std::vector<bool> needed(graph.size(), false);
    needed.at(target) = true;
    for (NodeId id = target + 1; id-- > 0;) {
        if (!needed[id]) continue;
        for (const NodeId input : inputs_of(graph[id])) needed[input] = true;
    }
    return needed;
}

std::string_view op_name(const Op& op) {
    return std::visit(overloaded{
                          [](const ImageSource&) { return "image"; },
                          [](const LocalSource&) { return "local"; },
                          [](const HttpSource&) { return "http"; },
                          [](const Exec&) { return "exec"; },
                          [](const File&) { return "file"; },
                          [](const Merge&) { return "merge"; },
                      },
                      op);
}

std::string to_json(const Graph& graph, std::optional<NodeId> target, const Platform& platform) {
    json nodes = json::array();
    const std::vector<bool> needed = target ? needed_for(graph, *target) : std::vector<bool>(graph.size(), false);
    for (NodeId id = 0; id < graph.size(); ++id) {
        const Node& node = graph[id];
        json out = op_json(node.op);
        out["id"] = id;
        out["needed"] = static_cast<bool>(needed[id]);
        if (node.base) out["base"] = *node.base;
        if (!node.origin.stage.empty()) out["stage"] = node.origin.stage;
        if (!node.origin.instruction.empty()) out["instruction"] = node.origin.instruction;
        if (node.origin.where.span) out["line"] = node.origin.where.span.line;
        nodes.push_back(std::move(out));
    }
    json out = {{"version", 1}, {"platform", platform.text()}, {"nodes", std::move(nodes)}};
    if (target) out["target"] = *target;
    return dump(out);
}

std::string to_dot(const Graph& graph, std::optional<NodeId> target) {
    const std::vector<bool> needed = target ? needed_for(graph, *target) : std::vector<bool>(graph.size(), false);
    std::string out = "digraph build {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n";
    for (NodeId id = 0; id < graph.size(); ++id) {
        const Node& node = graph[id];
        const std::string stage = node.origin.stage.empty() ? "" : "[" + node.origin.stage + "] ";
        out += fmt::format("  n{} [label=\"{}\"{}];\n", id, dot_text(stage + label_of(node)),
                           needed[id] ? "" : ", style=dashed");
        for (const NodeId input : inputs_of(node)) {
            const bool is_base = node.base == input;
            out += fmt::format("  n{} -> n{}{};\n", input, id, is_base ? "" : " [style=dotted]");
        }
    }
    return out + "}\n";
}

}  // namespace imgbuild::builder
