#include "tests/unit/registry/docker_registry.hpp"

#include "tests/support/catch.hpp"
#include "util/fd.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

namespace imgbuild::registry {
namespace {

using namespace std::chrono_literals;

constexpr const char* kProgram = "/usr/bin/docker-registry";

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

// The kernel's choice; it stays free unless somebody else takes it in the same instant.
int free_port() {
    const util::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

bool accepts(int port) {
    const util::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(port);
    return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

void write_config(const std::string& directory, int port) {
    std::ofstream(directory + "/config.yml") << fmt::format(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}, delete: {{enabled: "
        "true}}}}\nhttp: {{addr: \"127.0.0.1:{}\"}}\n",
        directory, port);
}

pid_t spawn(const std::string& directory) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    const std::string log = directory + "/log";
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    std::string program = kProgram;
    std::string verb = "serve";
    std::string config = directory + "/config.yml";
    char* const arguments[] = {program.data(), verb.data(), config.data(), nullptr};
    pid_t pid = -1;
    const int result = ::posix_spawn(&pid, kProgram, &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (result != 0) throw std::runtime_error("cannot start docker-registry");
    return pid;
}

}  // namespace

std::optional<DockerRegistry> DockerRegistry::start() {
    if (::access(kProgram, X_OK) != 0) {
        const char* const required = std::getenv("IMGBUILD_REQUIRE_SANDBOX");
        if (required != nullptr && std::string_view(required) == "1") FAIL("docker-registry is not installed");
        WARN("skipped: docker-registry is not installed");
        return std::nullopt;
    }
    util::TempDir directory(std::filesystem::temp_directory_path().string(), "imgbuild-registry-");
    const int port = free_port();
    write_config(directory.path(), port);
    const pid_t pid = spawn(directory.path());
    DockerRegistry registry(std::move(directory), fmt::format("127.0.0.1:{}", port), pid);
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!accepts(port)) {
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("docker-registry does not answer");
        std::this_thread::sleep_for(20ms);
    }
    return registry;
}

DockerRegistry::DockerRegistry(util::TempDir directory, std::string domain, pid_t pid)
    : directory_(std::move(directory)), domain_(std::move(domain)), pid_(pid) {}

DockerRegistry::DockerRegistry(DockerRegistry&& other) noexcept
    : directory_(std::move(other.directory_)), domain_(std::move(other.domain_)), pid_(std::exchange(other.pid_, -1)) {}

DockerRegistry::~DockerRegistry() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

std::string DockerRegistry::blob_file(const std::string& hex) const {
    return fmt::format("{}/data/docker/registry/v2/blobs/sha256/{}/{}/data", directory_.path(), hex.substr(0, 2), hex);
}

}  // namespace imgbuild::registry
