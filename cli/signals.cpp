#include "cli/signals.hpp"

#include "cli/exit_code.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

namespace imgbuild::cli {
namespace {

sigset_t watched() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

SignalWatch::SignalWatch() {
    const sigset_t set = watched();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = util::Fd(util::check(::signalfd(-1, &set, SFD_CLOEXEC), "watch signals", ""));
    wake_ = util::Fd(util::check(::eventfd(0, EFD_CLOEXEC), "watch signals", ""));
}

SignalWatch::~SignalWatch() {
    if (!listener_.joinable()) return;
    listener_.request_stop();
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_.get(), &one, sizeof one));
}

void SignalWatch::start() {
    listener_ = std::jthread([this](std::stop_token ending) { listen(std::move(ending)); });
}

void SignalWatch::listen(std::stop_token ending) {
    while (!ending.stop_requested()) {
        pollfd wait[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                         {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
        if (::poll(wait, 2, -1) < 0 || (wait[0].revents & POLLIN) == 0) continue;
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
        if (received_.exchange(static_cast<int>(info.ssi_signo)) != 0) ::_exit(exit_code());
        stop_.request_stop();
    }
}

int SignalWatch::exit_code() const {
    return received_ == SIGTERM ? kTerminated : kInterrupted;
}

}  // namespace imgbuild::cli
