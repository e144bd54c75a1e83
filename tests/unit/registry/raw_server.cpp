#include "tests/unit/registry/raw_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdexcept>
#include <vector>

namespace imgbuild::registry {
namespace {

constexpr int kPollMs = 20;

bool readable(int fd) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, kPollMs) > 0;
}

// Reads until a blank line or, as TLS clients send none, until there is nothing more for a moment.
void read_request(int fd) {
    std::string request;
    char buffer[4096];
    while (!request.ends_with("\r\n\r\n") && readable(fd)) {
        const ssize_t n = ::recv(fd, buffer, sizeof(buffer), 0);
        if (n <= 0) return;
        request.append(buffer, static_cast<std::size_t>(n));
    }
}

}  // namespace

RawServer::RawServer(std::string answer, After after)
    : answer_(std::move(answer)), after_(after), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 8) != 0) {
        throw std::runtime_error("cannot listen on 127.0.0.1");
    }
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](std::stop_token stop) { serve(stop); });
}

RawServer::~RawServer() = default;

void RawServer::serve(std::stop_token stop) {
    std::vector<util::Fd> hanging;
    while (!stop.stop_requested()) {
        if (!readable(listener_.get())) continue;
        util::Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        read_request(connection.get());
        ::send(connection.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
        if (after_ == After::hang) hanging.push_back(std::move(connection));
    }
}

}  // namespace imgbuild::registry
