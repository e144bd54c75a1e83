// A server that answers whatever it is told to, right or wrong.
#pragma once

#include "util/fd.hpp"

#include <string>
#include <thread>

namespace imgbuild::registry {

/// Accepts connections on 127.0.0.1, waits for the end of the request's headers, and answers each with the same bytes.
/// Lives until destroyed.
class RawServer {
public:
    /// What happens when the answer is out: the connection is closed, or nothing ever again.
    enum class After { close, hang };

    explicit RawServer(std::string answer, After after = After::close);
    ~RawServer();
    RawServer(const RawServer&) = delete;
    RawServer& operator=(const RawServer&) = delete;

    int port() const { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v2/"; }

private:
    void serve(std::stop_token stop);

    std::string answer_;
    After after_;
    util::Fd listener_;
    int port_ = 0;
    std::jthread thread_;
};

}  // namespace imgbuild::registry
