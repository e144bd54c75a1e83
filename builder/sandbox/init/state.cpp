#include "builder/sandbox/init/state.hpp"

#include <unistd.h>

#include <cerrno>

namespace imgbuild::sandbox::init {
namespace {

template <std::size_t Size>
void copy_text(char (&into)[Size], const char* text) {
    std::size_t length = 0;
    while (length + 1 < Size && text[length] != '\0') {
        into[length] = text[length];
        ++length;
    }
    into[length] = '\0';
}

}  // namespace

void send(const wire::Message& message) {
    // SIGPIPE is blocked; a write to nobody is an error that nobody needs to hear about.
    [[maybe_unused]] const auto written = write(wire::kStatusFd, &message, sizeof(message));
}

void fail(const State& state, const char* verb, const char* path, const char* detail) {
    wire::Message message;
    message.kind = wire::MessageKind::failed;
    message.operation = state.operation;
    message.error = errno;
    copy_text(message.verb, verb);
    copy_text(message.path, path);
    copy_text(message.detail, detail);
    send(message);
    _exit(125);
}

wire::Text secret_value(const State& state, std::uint32_t secret) {
    const char* data = state.secrets;
    std::uint32_t number = 0;
    wire::Text found{nullptr, 0};
    state.secret_sizes.each([&](std::uint32_t size) {
        if (number++ == secret) found = {data, size};
        data += size;
    });
    if (found.data != nullptr) return found;
    errno = EPROTO;
    fail(state, "read", "the plan's secrets");
}

int check(const State& state, long result, const char* verb, const char* path) {
    if (result < 0) fail(state, verb, path);
    return static_cast<int>(result);
}

}  // namespace imgbuild::sandbox::init
