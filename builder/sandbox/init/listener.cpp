// How the filter gets installed and its listener to PID 1.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "builder/sandbox/init/answers.hpp"
#include "builder/sandbox/init/notify.hpp"

namespace imgbuild::sandbox::init {
namespace {

union Ancillary {
    char bytes[CMSG_SPACE(sizeof(int))];
    cmsghdr aligned;
};

void send_descriptor(const State& state, int socket, int fd) {
    char byte = 0;
    iovec data{&byte, 1};
    Ancillary ancillary{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = ancillary.bytes;
    message.msg_controllen = sizeof(ancillary.bytes);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    check(state, sendmsg(socket, &message, 0), "send", "the listener");
}

int receive_descriptor(int socket) {
    char byte = 0;
    iovec data{&byte, 1};
    Ancillary ancillary{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = ancillary.bytes;
    message.msg_controllen = sizeof(ancillary.bytes);
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

long set_filter(unsigned long flags, const sock_fprog& program) {
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// The kernel copies the instructions, so their alignment does not matter.
sock_fprog program_of(wire::Text bytes) {
    const void* instructions = bytes.data;
    return {static_cast<unsigned short>(bytes.size / sizeof(sock_filter)),
            static_cast<sock_filter*>(const_cast<void*>(instructions))};
}

}  // namespace

void make_listener_sockets(State& state) {
    check(state, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, state.listener_sockets), "make",
          "a pair of sockets");
}

void install_filter(State& state, const char* name, wire::Text bytes, wire::Text unheard) {
    const sock_fprog program = program_of(bytes);
    // Once we are at it, a signal must not make the caller ask again (Linux 5.19): the file would exist.
    long listener = set_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
    if (listener < 0 && errno == EINVAL) listener = set_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER, program);
    if (listener < 0 && errno == EBUSY && unheard.size > 0) {
        check(state, set_filter(0, program_of(unheard)), "install seccomp filter", name);
        return;
    }
    const int fd = check(state, listener, "install seccomp filter", name);
    send_descriptor(state, state.listener_sockets[1], fd);
    close(fd);
}

void Notifications::handle(short events) {
    if (listener_ >= 0 && (events & POLLIN) != 0) return answer();
    if (listener_ >= 0) {
        // No process has the filter any more. It would be said again and again until the last is reaped.
        close(listener_);
        listener_ = -1;
        return;
    }
    listener_ = receive_descriptor(socket_);
    close(socket_);
    socket_ = -1;
}

void Notifications::answer() {
    // The kernel's structures may be larger than those that we know.
    alignas(seccomp_notif) char question_bytes[512]{};
    alignas(seccomp_notif_resp) char response_bytes[512]{};
    auto& question = reinterpret_cast<seccomp_notif&>(question_bytes);
    auto& response = reinterpret_cast<seccomp_notif_resp&>(response_bytes);
    if (ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) {
        // Whoever asked is gone, or a signal came; everything else means that nobody will ask any more.
        if (errno == ENOENT || errno == EINTR) return;
        close(listener_);
        listener_ = -1;
        return;
    }
    const Answer answer = answer_call(listener_, question);
    response.id = question.id;
    response.error = answer.goes_on ? 0 : -answer.error;
    response.flags = answer.goes_on ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
    // Fails if the caller is gone.
    ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace imgbuild::sandbox::init
