#include "builder/worker/channel.hpp"

#include <imgbuild/error.hpp>

#include "builder/worker/protocol.hpp"

#include <fmt/format.h>

#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace imgbuild::worker {
namespace {

constexpr std::size_t kMaxDescriptors = 8;
constexpr std::size_t kChunk = std::size_t{64} << 10;
constexpr const char* kName = "the worker's socket";

using Control = std::array<std::byte, CMSG_SPACE(kMaxDescriptors * sizeof(int))>;

void attach(msghdr& message, Control& control, std::span<const int> descriptors) {
    if (descriptors.empty()) return;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
}

[[noreturn]] void refuse(std::string message) {
    throw CorruptData({.code = "worker.bad-message", .message = std::move(message), .hint = {}, .where = {}});
}

}  // namespace

void Channel::send(std::string_view line, std::span<const int> descriptors) {
    if (descriptors.size() > kMaxDescriptors) refuse("too many descriptors for one message");
    std::string newline = "\n";
    const std::lock_guard lock(sending_);
    while (!line.empty() || !newline.empty()) {
        iovec parts[] = {{const_cast<char*>(line.data()), line.size()}, {newline.data(), newline.size()}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        alignas(cmsghdr) Control control{};
        attach(message, control, descriptors);
        const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) throw IoError("write to", kName, errno);
        descriptors = {};
        const std::size_t of_line = std::min(static_cast<std::size_t>(sent), line.size());
        line.remove_prefix(of_line);
        newline.erase(0, static_cast<std::size_t>(sent) - of_line);
    }
}

std::optional<std::string> Channel::take_line() {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end == std::string::npos) {
        searched_ = buffer_.size();
        if (searched_ > kMaxLine) refuse(fmt::format("a message is longer than {} bytes", kMaxLine));
        return std::nullopt;
    }
    std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    searched_ = 0;
    return line;
}

Channel::Fill Channel::fill() {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kChunk);
    iovec part{buffer_.data() + before, kChunk};
    alignas(cmsghdr) Control control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = 0;
    do {
        got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    const int error = errno;
    buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    // A side that died with unread bytes before it resets the connection; that is an end like any other.
    if (got < 0 && error == ECONNRESET) return Fill::end;
    if (got < 0) throw IoError("read from", kName, error);
    keep_descriptors(message);
    return got == 0 ? Fill::end : Fill::more;
}

void Channel::keep_descriptors(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
        for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
            descriptors_.emplace_back(fd);
        }
    }
    if ((message.msg_flags & MSG_CTRUNC) != 0 || descriptors_.size() > kMaxDescriptors)
        refuse("more descriptors came than a message can have");
}

std::optional<std::string> Channel::receive() {
    for (;;) {
        if (auto line = take_line()) return line;
        if (fill() == Fill::end) return std::nullopt;
    }
}

util::Fd Channel::take_descriptor() {
    if (descriptors_.empty()) return {};
    util::Fd out = std::move(descriptors_.front());
    descriptors_.pop_front();
    return out;
}

void Channel::stop_reading() noexcept {
    ::shutdown(socket_.get(), SHUT_RD);
}

}  // namespace imgbuild::worker
