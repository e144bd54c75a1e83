// What the worker and the step init say to each other. Both are built from the same sources and run on one machine, so
// numbers are in its own byte order; the version only guards against a mixed build.
//
// The plan travels in a memory file: u32 magic, version and count, then per operation u32 code, u32 length, and the
// fields in the order of operations.hpp. A text is u32 length, its bytes and a NUL that is not counted; a list is u32
// count and its elements. The init answers with Messages on its status pipe, each one atomic write.
//
// Nothing here allocates or throws: the init is built without both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "builder/sandbox/operations.hpp"

namespace imgbuild::sandbox::wire {

inline constexpr std::uint32_t kMagic = 0x73626d69;
inline constexpr std::uint32_t kVersion = 2;

/// The descriptors that an init starts with, besides 0 (/dev/null), 1 and 2 (the step's output).
inline constexpr int kPlanFd = 3;
inline constexpr int kStatusFd = 4;
/// Readable by the init: a byte asks it to end the command politely, end of file to end everything.
inline constexpr int kLifelineFd = 5;
inline constexpr int kUserNamespaceFd = 6;
/// The idmapped mount of the store; absent where ids are not shifted.
inline constexpr int kStoreFd = 7;

enum class MessageKind : std::uint32_t {
    /// `value`: PID 1 of the step, as the worker's pid namespace numbers it. It is the worker's child.
    started = 1,
    /// Operation number `operation` failed: `verb` and `path` as in an IoError, `error` an errno, `detail` the kernel's
    /// words.
    failed = 2,
    /// `value`: the command's status as from waitpid().
    ended = 3,
    /// The link or fifo `path` belongs to `operation` (user) and `value` (group), which the step's user namespace does
    /// not have; all ones: as before.
    owner = 4,
};

struct Message {
    MessageKind kind{};
    std::uint32_t operation = 0;
    std::int32_t error = 0;
    std::int32_t value = 0;
    char verb[64]{};
    char path[1024]{};
    char detail[512]{};
};
static_assert(sizeof(Message) <= 4096, "a message must fit PIPE_BUF to be written atomically");

/// Bytes inside a received plan. `data` ends with a NUL that is not counted.
struct Text {
    const char* data = "";
    std::uint32_t size = 0;
};

/// Takes values off the front of received bytes. After the first one that does not fit, ok() is false and all further
/// values are empty.
class Reader {
public:
    Reader(const char* data, std::size_t size) : data_(data), left_(size) {}

    bool ok() const { return ok_; }
    std::size_t left() const { return left_; }

    template <class Number>
    Number number() {
        Number value{};
        if (const char* bytes = take(sizeof(Number))) std::memcpy(&value, bytes, sizeof(Number));
        return value;
    }
    Text text() {
        const auto size = number<std::uint32_t>();
        const char* bytes = take(std::size_t{size} + 1);
        if (bytes == nullptr || bytes[size] != '\0') {
            ok_ = false;
            return {};
        }
        return {bytes, size};
    }
    /// The next `size` bytes as a reader of their own.
    Reader part(std::size_t size) {
        const char* bytes = take(size);
        return bytes == nullptr ? Reader("", 0) : Reader(bytes, size);
    }

private:
    const char* take(std::size_t size) {
        if (!ok_ || size > left_) {
            ok_ = false;
            return nullptr;
        }
        const char* taken = data_;
        data_ += size;
        left_ -= size;
        return taken;
    }

    const char* data_;
    std::size_t left_;
    bool ok_ = true;
};

/// `count` texts, validated when they were received.
class TextList {
public:
    TextList() = default;
    explicit TextList(Reader& from) : count_(from.number<std::uint32_t>()), elements_(from) {
        for (std::uint32_t i = 0; i < count_ && from.ok(); ++i) from.text();
    }
    std::uint32_t count() const { return count_; }
    void each(auto&& visit) const {
        Reader elements = elements_;
        for (std::uint32_t i = 0; i < count_; ++i) visit(elements.text());
    }

private:
    std::uint32_t count_ = 0;
    Reader elements_{"", 0};
};

class NumberList {
public:
    NumberList() = default;
    explicit NumberList(Reader& from) : count_(from.number<std::uint32_t>()), elements_(from) {
        for (std::uint32_t i = 0; i < count_ && from.ok(); ++i) from.number<std::uint32_t>();
    }
    std::uint32_t count() const { return count_; }
    void each(auto&& visit) const {
        Reader elements = elements_;
        for (std::uint32_t i = 0; i < count_; ++i) visit(elements.number<std::uint32_t>());
    }

private:
    std::uint32_t count_ = 0;
    Reader elements_{"", 0};
};

/// The form in which the init holds operations: views of the received plan.
struct Viewed {
    using Text = wire::Text;
    using Bytes = wire::Text;
    using TextList = wire::TextList;
    using NumberList = wire::NumberList;
};

inline void load(Reader& from, std::uint32_t& into) {
    into = from.number<std::uint32_t>();
}
inline void load(Reader& from, std::uint64_t& into) {
    into = from.number<std::uint64_t>();
}
inline void load(Reader& from, Text& into) {
    into = from.text();
}
inline void load(Reader& from, TextList& into) {
    into = TextList(from);
}
inline void load(Reader& from, NumberList& into) {
    into = NumberList(from);
}

/// Calls `use` with operation number `code`, its fields loaded; false if there is no such operation or its bytes are
/// wrong. `load_field` is load() or an overload set of the caller's.
template <class... Operations>
struct Dispatch {
    static bool call(std::uint32_t code, Reader fields, auto&& load_field, auto&& use) {
        std::uint32_t candidate = 0;
        bool done = false;
        const auto attempt = [&](auto operation) {
            if (candidate++ != code) return;
            operation.fields(operation, [&](const char*, auto& field) { load_field(fields, field); });
            done = fields.ok() && fields.left() == 0;
            if (done) use(operation);
        };
        (attempt(Operations{}), ...);
        return done;
    }
};

}  // namespace imgbuild::sandbox::wire
