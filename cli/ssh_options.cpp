#include "cli/ssh_options.hpp"

#include <imgbuild/error.hpp>

#include "cli/app_context.hpp"
#include "cli/ssh_agent.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Agents {
    std::map<std::string, std::string> sockets;
    std::vector<std::unique_ptr<SshAgent>> own;
};

UsageError bad_ssh(std::string message, std::string hint) {
    return UsageError({.code = "usage.bad-ssh", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

bool is_socket(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        throw Error({.code = "source.ssh",
                     .message = fmt::format("--ssh: {}: {}", util::quote(path), strerrordesc_np(errno)),
                     .hint = "give the socket of an agent, or private keys",
                     .where = {}});
    }
    return S_ISSOCK(status.st_mode);
}

std::string usual_agent() {
    const auto socket = AppContext::environment("SSH_AUTH_SOCK");
    if (socket && !socket->empty()) return *socket;
    throw bad_ssh("--ssh needs an agent, and SSH_AUTH_SOCK is not set",
                  "start one (eval $(ssh-agent); ssh-add), or give a socket or keys: --ssh default=KEY");
}

void add(const std::string& text, Agents& agents) {
    const std::size_t equals = text.find('=');
    const std::string id = text.substr(0, equals);
    if (id.empty()) throw bad_ssh("--ssh has no id", "write --ssh default, or --ssh ID=SOCKET");
    if (agents.sockets.contains(id)) throw bad_ssh(fmt::format("--ssh {} is given twice", util::quote(id)), "");
    std::vector<std::string> paths;
    if (equals != std::string::npos) {
        for (const std::string_view path : util::split(std::string_view(text).substr(equals + 1), ',')) {
            paths.emplace_back(path);
        }
    }
    if (paths.empty() || paths.front().empty()) paths = {usual_agent()};
    std::size_t sockets = 0;
    for (const std::string& path : paths) sockets += is_socket(path) ? 1 : 0;
    if (sockets == 0) {
        agents.own.push_back(std::make_unique<SshAgent>(paths));
        agents.sockets[id] = agents.own.back()->socket();
    } else if (paths.size() == 1) {
        agents.sockets[id] = paths.front();
    } else {
        throw bad_ssh(fmt::format("--ssh {} names a socket and something else", util::quote(id)),
                      "an id stands for one agent, or for keys");
    }
}

}  // namespace

std::function<std::optional<std::string>(const std::string& id)> find_agents(const std::vector<std::string>& options) {
    const auto agents = std::make_shared<Agents>();
    for (const std::string& text : options) add(text, *agents);
    return [agents](const std::string& id) -> std::optional<std::string> {
        const auto at = agents->sockets.find(id);
        if (at == agents->sockets.end()) return std::nullopt;
        return at->second;
    };
}

}  // namespace imgbuild::cli
