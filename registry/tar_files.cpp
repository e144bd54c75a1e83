// Only headers are read here: a field is taken from its place in the block (POSIX.1-2017 "ustar Interchange Format"),
// and everything that a reader of images has no use for (owners, modes, times, devices) is passed over.
#include <imgbuild/error.hpp>

#include "registry/image_files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <numeric>
#include <vector>

namespace imgbuild::registry {
namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::size_t kMostEntries = 100'000;
constexpr std::uint64_t kMaxExtension = 1U << 20;
constexpr std::size_t kLongestName = 4096;
constexpr int kMostHops = 8;

using Block = std::array<char, kBlock>;

[[noreturn]] void fail(const std::string& path, std::string_view code, std::string_view why, std::string hint = {}) {
    throw CorruptData({.code = std::string(code),
                       .message = fmt::format("the archive {} cannot be read: {}", util::quote(path), why),
                       .hint = std::move(hint),
                       .where = {}});
}

std::size_t read_at(int fd, std::span<char> into, std::uint64_t offset, const std::string& path) {
    std::size_t done = 0;
    while (done < into.size()) {
        const ssize_t n = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw IoError("read", path, errno);
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done;
}

std::string_view field(const Block& block, std::size_t at, std::size_t size) {
    const std::string_view text(block.data() + at, size);
    return text.substr(0, text.find('\0'));
}

// Octal, or GNU's base 256 with the top bit set. Nothing if it is neither or too large for a file.
std::optional<std::uint64_t> number(const Block& block, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    const auto first = static_cast<unsigned char>(block[at]);
    if ((first & 0x80) != 0) {
        if (first != 0x80) return std::nullopt;
        for (std::size_t i = 1; i < size; ++i) {
            if (value >> 54 != 0) return std::nullopt;
            value = value << 8 | static_cast<unsigned char>(block[at + i]);
        }
        return value;
    }
    for (const char c : util::trim(field(block, at, size))) {
        if (c < '0' || c > '7' || value >> 59 != 0) return std::nullopt;
        value = value << 3 | static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

bool checksum_fits(const Block& block) {
    constexpr std::size_t kAt = 148;
    constexpr std::size_t kSize = 8;
    unsigned sum = kSize * ' ';
    for (std::size_t i = 0; i < block.size(); ++i) {
        if (i < kAt || i >= kAt + kSize) sum += static_cast<unsigned char>(block[i]);
    }
    return number(block, kAt, kSize) == sum;
}

// "./blobs//x" is blobs/x; where "../" leads is the business of links only.
std::string normal(std::string_view base, std::string_view name) {
    std::vector<std::string_view> parts;
    for (const std::string_view text : {base, name}) {
        for (const std::string_view part : util::split(text, '/')) {
            if (part == "..") {
                if (!parts.empty()) parts.pop_back();
            } else if (!part.empty() && part != ".") {
                parts.push_back(part);
            }
        }
    }
    return fmt::format("{}", fmt::join(parts, "/"));
}

bool is_compressed(const Block& block) {
    const std::string_view head(block.data(), 6);
    return head.starts_with("\x1f\x8b") || head.starts_with("\x28\xb5\x2f\xfd") || head.starts_with("BZh") ||
           head.starts_with(std::string_view("\xfd"
                                             "7zXZ\0",
                                             6));
}

// A part of the archive's file, read by offset so that several threads may.
class PartSource final : public util::Source {
public:
    PartSource(int fd, std::string path, std::uint64_t offset, std::uint64_t size)
        : fd_(fd), path_(std::move(path)), offset_(offset), left_(size) {}

    std::size_t read(std::span<std::byte> into) override {
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(left_, into.size()));
        if (want == 0) return 0;
        const std::size_t n = read_at(fd_, {reinterpret_cast<char*>(into.data()), want}, offset_, path_);
        if (n == 0) fail(path_, "corrupt.archive", "it became shorter");
        offset_ += n;
        left_ -= n;
        return n;
    }

private:
    int fd_;
    std::string path_;
    std::uint64_t offset_;
    std::uint64_t left_;
};

}  // namespace

// One walk over all headers.
class TarFiles::Reader {
public:
    Reader(TarFiles& out, std::uint64_t size) : out_(out), size_(size) {}

    void run() {
        Block block;
        while (read_at(out_.fd_.get(), block, at_, out_.path_) == kBlock) {
            if (std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; })) return;
            take(block);
        }
        if (at_ == 0) fail(out_.path_, "corrupt.archive", "it is no tar");
    }

private:
    void take(const Block& block) {
        if (!checksum_fits(block)) {
            if (at_ == 0 && is_compressed(block)) {
                fail(out_.path_, "corrupt.archive", "it is compressed", "undo that first, for example with gunzip");
            }
            fail(out_.path_, "corrupt.archive", at_ == 0 ? "it is no tar" : "a header is damaged");
        }
        const char type = block[156];
        std::uint64_t size = number(block, 124, 12).value_or(size_ + 1);
        if (size_override_ && type != 'x' && type != 'g' && type != 'L' && type != 'K') size = *size_override_;
        const bool has_content = type != '1' && type != '2' && type != '5';
        if (!has_content) size = 0;
        const std::uint64_t begin = at_ + kBlock;
        if (size > size_ || begin + size > size_) fail(out_.path_, "corrupt.archive", "it is cut short");
        at_ = begin + (size + kBlock - 1) / kBlock * kBlock;
        if (type == 'x' || type == 'L' || type == 'K') return take_extension(type, begin, size);
        if (type == 'g') return;
        add(block, type, begin, size);
        name_.reset();
        link_.reset();
        size_override_.reset();
    }

    void take_extension(char type, std::uint64_t begin, std::uint64_t size) {
        if (size > kMaxExtension) fail(out_.path_, "corrupt.archive-limit", "a header is too long");
        std::string text(static_cast<std::size_t>(size), '\0');
        read_at(out_.fd_.get(), text, begin, out_.path_);
        if (type == 'L') name_ = text.substr(0, text.find('\0'));
        if (type == 'K') link_ = text.substr(0, text.find('\0'));
        if (type == 'x') take_records(text);
    }

    // "<length> key=value\n" …
    void take_records(std::string_view text) {
        while (!text.empty()) {
            const std::size_t blank = text.find(' ');
            const auto length = util::parse_number(text.substr(0, std::min(blank, text.size())));
            if (!length || blank == std::string_view::npos || *length <= blank + 1 || *length > text.size()) {
                fail(out_.path_, "corrupt.archive", "a pax header is damaged");
            }
            std::string_view record = text.substr(blank + 1, static_cast<std::size_t>(*length) - blank - 1);
            text.remove_prefix(static_cast<std::size_t>(*length));
            if (record.ends_with('\n')) record.remove_suffix(1);
            const std::size_t equals = record.find('=');
            if (equals == std::string_view::npos) continue;
            const std::string_view key = record.substr(0, equals);
            const std::string value(record.substr(equals + 1));
            if (key == "path") name_ = value;
            if (key == "linkpath") link_ = value;
            if (key == "size") size_override_ = util::parse_number(value).value_or(size_ + 1);
        }
    }

    void add(const Block& block, char type, std::uint64_t begin, std::uint64_t size) {
        const bool is_file = type == '0' || type == '\0' || type == '7';
        const bool is_link = type == '1' || type == '2';
        if (!is_file && !is_link) return;
        std::string name;
        if (name_) {
            name = *name_;
        } else {
            const bool is_ustar = field(block, 257, 6).starts_with("ustar") && block[262] == '\0';
            const std::string_view prefix = is_ustar ? field(block, 345, 155) : std::string_view();
            name =
                prefix.empty() ? std::string(field(block, 0, 100)) : fmt::format("{}/{}", prefix, field(block, 0, 100));
        }
        if (name.size() > kLongestName) fail(out_.path_, "corrupt.archive-limit", "a name is too long");
        name = normal("", name);
        Entry entry{.offset = begin, .size = size};
        if (is_link) {
            const std::string target = link_ ? *link_ : std::string(field(block, 157, 100));
            // Hard links count from the archive's root, symbolic links from where they are.
            entry.link = normal(type == '2' ? name.substr(0, name.rfind('/') + 1) : "", target);
        }
        out_.entries_.insert_or_assign(std::move(name), std::move(entry));
        if (out_.entries_.size() > kMostEntries) fail(out_.path_, "corrupt.archive-limit", "it has too many entries");
    }

    TarFiles& out_;
    std::uint64_t size_;
    std::uint64_t at_ = 0;
    // From extended headers, for the entry that follows.
    std::optional<std::string> name_;
    std::optional<std::string> link_;
    std::optional<std::uint64_t> size_override_;
};

TarFiles::TarFiles(const std::string& path) : path_(path), fd_(util::open_path(path, O_RDONLY | O_NONBLOCK)) {
    struct stat status {};
    util::check(::fstat(fd_.get(), &status), "stat", path_);
    if (!S_ISREG(status.st_mode)) fail(path_, "corrupt.archive", "it is no regular file");
    Reader(*this, static_cast<std::uint64_t>(status.st_size)).run();
}

const TarFiles::Entry* TarFiles::find(std::string_view name) const {
    std::string wanted(name);
    for (int hop = 0; hop <= kMostHops; ++hop) {
        const auto found = entries_.find(wanted);
        if (found == entries_.end()) return nullptr;
        if (!found->second.link) return &found->second;
        wanted = *found->second.link;
    }
    fail(path_, "corrupt.archive", fmt::format("the links of {} lead in a circle", util::quote(name)));
}

std::optional<std::uint64_t> TarFiles::size_of(std::string_view name) const {
    const Entry* entry = find(name);
    return entry == nullptr ? std::nullopt : std::optional(entry->size);
}

std::unique_ptr<util::Source> TarFiles::open(std::string_view name) const {
    const Entry* entry = find(name);
    if (entry == nullptr) fail(path_, "corrupt.archive", fmt::format("it has no file {}", util::quote(name)));
    return std::make_unique<PartSource>(fd_.get(), path_, entry->offset, entry->size);
}

}  // namespace imgbuild::registry
