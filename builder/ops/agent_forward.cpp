#include "builder/ops/agent_forward.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace imgbuild::builder {
namespace {

constexpr std::size_t kMaxMessage = std::size_t{256} << 10U;
constexpr std::size_t kMaxConnections = 64;
constexpr std::uint8_t kFailure = 5;
constexpr std::uint8_t kRequestIdentities = 11;
constexpr std::uint8_t kSign = 13;

// A socket's name has 107 bytes, and a store may lie deeper: so it is named through a descriptor of its directory.
sockaddr_un address_in(const util::Fd& directory, const std::string& name) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    const std::string text = fmt::format("/proc/self/fd/{}/{}", directory.get(), name);
    if (text.size() >= sizeof(out.sun_path)) throw IoError("name the socket", name, ENAMETOOLONG);
    std::memcpy(out.sun_path, text.c_str(), text.size() + 1);
    return out;
}

util::Fd make_socket() {
    return util::Fd(util::check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make", "a socket"));
}

std::pair<std::string, std::string> split_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

std::optional<util::Fd> connect_to(const std::string& path) {
    const auto [directory, name] = split_path(path);
    const util::Fd parent = util::open_path(directory, O_PATH | O_DIRECTORY);
    util::Fd out = make_socket();
    const sockaddr_un address = address_in(parent, name);
    if (::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) return std::nullopt;
    return out;
}

bool receive(int fd, char* into, std::size_t size) {
    while (size > 0) {
        const ssize_t got = ::recv(fd, into, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        into += got;
        size -= static_cast<std::size_t>(got);
    }
    return true;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

/// Length and body; nothing at the end of the stream, or for what no agent would say.
std::optional<std::string> receive_message(int fd) {
    std::array<unsigned char, 4> head{};
    if (!receive(fd, reinterpret_cast<char*>(head.data()), head.size())) return std::nullopt;
    const std::size_t size = (std::size_t{head[0]} << 24U) | (std::size_t{head[1]} << 16U) |
                             (std::size_t{head[2]} << 8U) | std::size_t{head[3]};
    if (size == 0 || size > kMaxMessage) return std::nullopt;
    std::string out(reinterpret_cast<const char*>(head.data()), head.size());
    out.resize(head.size() + size);
    if (!receive(fd, out.data() + head.size(), size)) return std::nullopt;
    return out;
}

void serve(int client, int agent) {
    while (const auto request = receive_message(client)) {
        if (!is_harmless_request(static_cast<std::uint8_t>((*request)[4]))) {
            const char refusal[] = {0, 0, 0, 1, static_cast<char>(kFailure)};
            if (!send_all(client, {refusal, sizeof(refusal)})) return;
            continue;
        }
        if (!send_all(agent, *request)) return;
        const auto answer = receive_message(agent);
        if (!answer || !send_all(client, *answer)) return;
    }
}

}  // namespace

bool is_harmless_request(std::uint8_t type) {
    return type == kRequestIdentities || type == kSign;
}

// One thread takes connections, and each has a thread of its own, since both sides of it are waited for. Shutting the
// sockets down is what ends those waits.
class AgentForward::State {
public:
    State(const std::string& directory, std::string agent, const SocketLook& look)
        : path_(directory + "/agent"), agent_(std::move(agent)), wake_(util::make_pipe()), listener_(make_socket()) {
        const util::Fd parent = util::open_path(directory, O_PATH | O_DIRECTORY);
        const sockaddr_un address = address_in(parent, "agent");
        util::check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "make",
                    path_);
        util::check(::lchown(path_.c_str(), look.uid, look.gid), "set the owner of", path_);
        util::check(::chmod(path_.c_str(), look.mode), "set the mode of", path_);
        util::check(::listen(listener_.get(), 16), "listen at", path_);
        acceptor_ = std::jthread([this] { accept_all(); });
    }

    ~State() {
        wake_.write.reset();
        acceptor_.join();
        {
            const std::lock_guard lock(mutex_);
            for (const Connection& connection : connections_) {
                ::shutdown(connection.client.get(), SHUT_RDWR);
                ::shutdown(connection.agent.get(), SHUT_RDWR);
            }
        }
        connections_.clear();
    }

    const std::string& path() const { return path_; }

private:
    struct Connection {
        util::Fd client;
        util::Fd agent;
        bool over = false;
        std::jthread thread;
    };

    void accept_all() {
        while (true) {
            pollfd wanted[] = {{wake_.read.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
            if (::poll(wanted, 2, -1) < 0 && errno != EINTR) return;
            if (wanted[0].revents != 0) return;
            if ((wanted[1].revents & POLLIN) == 0) continue;
            util::Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client) {
                // Out of descriptors, say; asking again at once would not help.
                constexpr int kMilliseconds = 50;
                if (::poll(wanted, 1, kMilliseconds) > 0) return;
                continue;
            }
            remove_finished();
            try {
                start(std::move(client));
            } catch (const std::exception&) {
                // The step sees its connection end, as with an agent that went away.
            }
        }
    }

    void start(util::Fd client) {
        auto agent = connect_to(agent_);
        if (!agent) return;
        const std::lock_guard lock(mutex_);
        if (connections_.size() >= kMaxConnections) return;
        Connection& connection = connections_.emplace_back();
        connection.client = std::move(client);
        connection.agent = std::move(*agent);
        try {
            connection.thread = std::jthread([this, &connection] { carry(connection); });
        } catch (...) {
            connections_.pop_back();
            throw;
        }
    }

    void carry(Connection& connection) {
        try {
            serve(connection.client.get(), connection.agent.get());
        } catch (const std::exception&) {
            // As above.
        }
        ::shutdown(connection.client.get(), SHUT_RDWR);
        ::shutdown(connection.agent.get(), SHUT_RDWR);
        const std::lock_guard guard(mutex_);
        connection.over = true;
    }

    void remove_finished() {
        std::list<Connection> finished;
        const std::lock_guard lock(mutex_);
        for (auto at = connections_.begin(); at != connections_.end();) {
            const auto next = std::next(at);
            if (at->over) finished.splice(finished.end(), connections_, at);
            at = next;
        }
        // Joined with the lock held: what is over has let go of it for good.
        finished.clear();
    }

    std::string path_;
    std::string agent_;
    util::Pipe wake_;
    util::Fd listener_;
    std::mutex mutex_;
    std::list<Connection> connections_;
    std::jthread acceptor_;
};

AgentForward::AgentForward(const std::string& directory, std::string agent, const SocketLook& look)
    : state_(std::make_unique<State>(directory, std::move(agent), look)) {}
AgentForward::~AgentForward() = default;
AgentForward::AgentForward(AgentForward&&) noexcept = default;

const std::string& AgentForward::path() const {
    return state_->path();
}

}  // namespace imgbuild::builder
