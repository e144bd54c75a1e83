// --ssh: which agents a build may use.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::cli {

/// "default", "ID", "ID=SOCKET" or "ID=KEY[,KEY…]" each. Without a path it is the agent that $SSH_AUTH_SOCK names. For
/// keys an agent of our own is started (ssh-agent, ssh-add), which ends with this process. Throws UsageError
/// ("usage.bad-ssh"), Error ("source.ssh").
std::function<std::optional<std::string>(const std::string& id)> find_agents(const std::vector<std::string>& options);

}  // namespace imgbuild::cli
