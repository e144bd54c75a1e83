#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "builder/sandbox/init/command.hpp"
#include "builder/sandbox/init/notify.hpp"

namespace imgbuild::sandbox::init {
namespace {

/// Reaps whatever has ended. If the command is among it, tells the worker, and this process (and so the step) ends.
void reap(pid_t command) {
    while (true) {
        int status = 0;
        const pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended == 0 || (ended < 0 && errno == ECHILD)) return;
        if (ended != command) continue;
        wire::Message message;
        message.kind = wire::MessageKind::ended;
        message.value = status;
        send(message);
        _exit(0);
    }
}

/// The worker asks to stop, or is gone.
void obey(pid_t command) {
    char request = 0;
    if (read(wire::kLifelineFd, &request, 1) <= 0) _exit(0);
    // The group is there once the child has made its session; until then it is alone.
    if (kill(-command, SIGTERM) != 0) kill(command, SIGTERM);
}

}  // namespace

void supervise(State& state, pid_t command) {
    // Nobody in the step may look into this process, which still has all capabilities of the user namespace.
    check(state, prctl(PR_SET_DUMPABLE, 0), "protect", "the step's init");
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    const int signals = check(state, signalfd(-1, &children, SFD_CLOEXEC), "make", "a signal descriptor");
    close(state.listener_sockets[1]);
    Notifications notifications(state);
    while (true) {
        pollfd watched[] = {
            {signals, POLLIN, 0}, {wire::kLifelineFd, POLLIN, 0}, {notifications.descriptor(), POLLIN, 0}};
        // A child that ended before the descriptor was made left its signal pending, so none is missed.
        if (poll(watched, 3, -1) < 0) continue;
        if (watched[0].revents != 0) {
            signalfd_siginfo ignored;
            check(state, read(signals, &ignored, sizeof(ignored)), "read", "the signal descriptor");
            reap(command);
        }
        if (watched[1].revents != 0) obey(command);
        if (watched[2].revents != 0) notifications.handle(watched[2].revents);
    }
}

}  // namespace imgbuild::sandbox::init
