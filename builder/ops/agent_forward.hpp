// An ssh agent of the user's as a socket that a step can be given.
//
// The step talks to a socket of ours, and we to the agent. So the socket can have the owner and mode that the step asks
// for, and the agent is asked nothing but to list its keys and to sign: no step can add, remove or lock keys.
// Spec: draft-ietf-sshm-ssh-agent (message numbers).
#pragma once

#include "util/fd.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace imgbuild::builder {

struct SocketLook {
    std::uint32_t mode = 0600;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
};

class AgentForward {
public:
    /// Makes the socket `directory`/agent. `agent` is the path of the user's. Throws IoError.
    AgentForward(const std::string& directory, std::string agent, const SocketLook& look);
    /// Ends all connections.
    ~AgentForward();
    AgentForward(AgentForward&&) noexcept;

    const std::string& path() const;

private:
    class State;
    std::unique_ptr<State> state_;
};

/// May a step send the agent a request that begins with this byte?
bool is_harmless_request(std::uint8_t type);

}  // namespace imgbuild::builder
