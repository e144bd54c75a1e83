// Writing a regular file whose beginning says what only its end knows.
//
//     const std::uint64_t at = sink.position();
//     sink.write(placeholder);
//     …
//     sink.overwrite(at, header);          // or sink.cut(at): nothing of it was written
#pragma once

#include "util/bytes.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace imgbuild::util {

class FileSink final : public Sink {
public:
    /// Writes to a regular file that somebody else owns, from where it is; what lies behind must be nothing. `name` is
    /// for errors.
    FileSink(int fd, std::string name) : fd_(fd), name_(name), appending_(fd, std::move(name)) {}

    void write(std::span<const std::byte> bytes) override { appending_.write(bytes); }
    std::optional<std::uint64_t> take_file(int file, std::uint64_t most) override {
        return appending_.take_file(file, most);
    }

    /// Where the next write goes, in bytes. Throws IoError, as the others.
    std::uint64_t position() const;
    /// Over what was written before; the next write goes where it would have gone.
    void overwrite(std::uint64_t at, std::span<const std::byte> bytes);
    /// Takes back what was written from `at` on.
    void cut(std::uint64_t at);

private:
    int fd_;
    std::string name_;
    FdSink appending_;
};

}  // namespace imgbuild::util
