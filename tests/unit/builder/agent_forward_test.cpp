#include "builder/ops/agent_forward.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cstring>
#include <string>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(out.sun_path));
    std::memcpy(out.sun_path, path.c_str(), path.size() + 1);
    return out;
}

util::Fd stream() {
    return util::Fd(util::check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make", "a socket"));
}

util::Fd connect_to(const std::string& path) {
    util::Fd out = stream();
    const sockaddr_un address = address_of(path);
    util::check(::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "connect", path);
    return out;
}

/// Answers every message with 12 and the message's body.
class EchoAgent {
public:
    explicit EchoAgent(const std::string& path) : listener_(stream()) {
        const sockaddr_un address = address_of(path);
        util::check(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind",
                    path);
        util::check(::listen(listener_.get(), 4), "listen", path);
        thread_ = std::jthread([this] {
            const util::Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            std::array<char, 256> buffer{};
            while (::read(client.get(), buffer.data(), 5) == 5) {
                const std::string answer = {0, 0, 0, 2, 12, buffer[4]};
                if (::write(client.get(), answer.data(), answer.size()) < 0) return;
            }
        });
    }

private:
    util::Fd listener_;
    std::jthread thread_;
};

std::string ask(const util::Fd& socket, char type) {
    const std::string request = {0, 0, 0, 1, type};
    REQUIRE(::write(socket.get(), request.data(), request.size()) == 5);
    std::string answer(6, '\0');
    const ssize_t size = ::read(socket.get(), answer.data(), answer.size());
    answer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return answer;
}

}  // namespace

TEST_CASE("questions reach the agent, and what would change it is refused") {
    const test::Directory directory;
    const EchoAgent agent(directory.at("real"));
    directory.make_directory("d");
    const AgentForward forward(directory.at("d"), directory.at("real"), {.mode = 0640});
    struct stat status {};
    REQUIRE(::stat(forward.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    const util::Fd client = connect_to(forward.path());
    CHECK(ask(client, 11) == std::string({0, 0, 0, 2, 12, 11}));
    CHECK(ask(client, 13) == std::string({0, 0, 0, 2, 12, 13}));
    for (const char type : std::string("\x11\x12\x13\x14\x16\x19\x1b"))
        CHECK(ask(client, type) == std::string({0, 0, 0, 1, 5}));
}

TEST_CASE("a connection ends with the forward, and at once if there is no agent or the message is endless") {
    const test::Directory directory;
    directory.make_directory("d");
    std::optional<AgentForward> forward;
    forward.emplace(directory.at("d"), directory.at("absent"), SocketLook{});
    const util::Fd lonely = connect_to(forward->path());
    char byte = 0;
    CHECK(::read(lonely.get(), &byte, 1) <= 0);

    const EchoAgent agent(directory.at("absent"));
    const util::Fd endless = connect_to(forward->path());
    CHECK(::write(endless.get(), "\x7f\xff\xff\xff\x0b", 5) == 5);
    CHECK(::read(endless.get(), &byte, 1) <= 0);
}

TEST_CASE("who ends a forward waits for nobody") {
    const test::Directory directory;
    directory.make_directory("d");
    const EchoAgent agent(directory.at("real"));
    std::optional<AgentForward> forward;
    forward.emplace(directory.at("d"), directory.at("real"), SocketLook{});
    const util::Fd silent = connect_to(forward->path());
    CHECK(ask(silent, 11).size() == 6);
    forward.reset();
    char byte = 0;
    CHECK(::read(silent.get(), &byte, 1) <= 0);
}
