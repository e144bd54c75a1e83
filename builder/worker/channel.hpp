// Lines over a socket, with descriptors beside them (SCM_RIGHTS).
//
// Descriptors that are sent with a line arrive before or with its first byte, so whoever has read the line can take
// them, in their order.
#pragma once

#include "util/fd.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct msghdr;

namespace imgbuild::worker {

/// One end of a connected stream socket. Any thread may send(); one thread at a time reads. Nothing raises SIGPIPE.
class Channel {
public:
    explicit Channel(util::Fd socket) : socket_(std::move(socket)) {}

    /// Writes the line and a newline, or throws IoError; waits for a reader who is slow.
    void send(std::string_view line, std::span<const int> descriptors = {});

    /// A whole line that was read already, without its newline.
    std::optional<std::string> take_line();
    enum class Fill { more, end };
    /// Reads once; waits for it. The end is that of the other side; a line that it did not finish is dropped.
    /// Throws IoError; CorruptData ("worker.bad-message") for a line beyond kMaxLine or too many descriptors.
    Fill fill();
    /// The next line, or nothing at the end.
    std::optional<std::string> receive();

    /// The oldest descriptor that has come; none (-1) if there is none.
    util::Fd take_descriptor();

    /// Wakes a reader with the end, and keeps sending possible.
    void stop_reading() noexcept;
    int fd() const { return socket_.get(); }

private:
    void keep_descriptors(msghdr& message);

    util::Fd socket_;
    std::mutex sending_;
    std::string buffer_;
    /// Bytes of the buffer that hold no newline.
    std::size_t searched_ = 0;
    std::deque<util::Fd> descriptors_;
};

}  // namespace imgbuild::worker
