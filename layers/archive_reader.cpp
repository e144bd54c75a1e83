#include "layers/archive_reader.hpp"

#include <imgbuild/error.hpp>

#include "layers/archive_input.hpp"
#include "layers/decompress.hpp"
#include "layers/failure.hpp"
#include "layers/pax.hpp"
#include "layers/tar_format.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

using tar::Extended;
using tar::Header;
using tar::kBlock;
using tar::Segment;

std::string_view field(std::span<const char> bytes) {
    const std::string_view all(bytes.data(), bytes.size());
    return all.substr(0, all.find('\0'));
}

// Octal with blanks around, or base 256 if the first bit is set; nothing if it is neither.
std::optional<std::int64_t> parse_field(std::span<const char> bytes) {
    const auto first = static_cast<unsigned char>(bytes.front());
    if ((first & 0x80U) != 0) {
        const bool negative = (first & 0x40U) != 0;
        std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            auto byte = static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]));
            if (i == 0) byte = negative ? (byte | 0x80U) : (byte & 0x7fU);
            const std::uint64_t spilled = value >> 55;
            if (spilled != (negative ? 0x1ffU : 0U)) return std::nullopt;
            value = (value << 8) | byte;
        }
        return static_cast<std::int64_t>(value);
    }
    const std::string_view text = util::trim(field(bytes));
    std::int64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '7' || value > (std::numeric_limits<std::int64_t>::max() >> 3)) return std::nullopt;
        value = value * 8 + (c - '0');
    }
    return value;
}

std::int64_t number(std::span<const char> bytes, const char* what) {
    const auto value = parse_field(bytes);
    if (!value) bad_archive(fmt::format("{} in a header is no number", what));
    return *value;
}

std::uint64_t size_number(std::span<const char> bytes, const char* what) {
    const std::int64_t value = number(bytes, what);
    if (value < 0) bad_archive(fmt::format("{} in a header is negative", what));
    return static_cast<std::uint64_t>(value);
}

std::uint32_t id_number(std::span<const char> bytes, const char* what) {
    const std::uint64_t value = size_number(bytes, what);
    if (value > std::numeric_limits<std::uint32_t>::max())
        bad_archive(fmt::format("{} in a header is too large", what));
    return static_cast<std::uint32_t>(value);
}

bool is_zero(const Header& header) {
    static constexpr std::array<char, kBlock> kZeros{};
    return std::memcmp(&header, kZeros.data(), kBlock) == 0;
}

bool has_good_checksum(const Header& header) {
    const auto said = parse_field(header.checksum);
    const tar::Checksum real = tar::checksum(header);
    return said && (std::cmp_equal(*said, real.as_unsigned) || *said == real.as_signed);
}

std::string plain_name(const Header& header) {
    const std::string_view name = field(header.name);
    // The prefix is ustar's; GNU's variant ("ustar  ") has other things there.
    const bool ustar = std::memcmp(header.magic, "ustar\0", sizeof header.magic) == 0;
    const std::string_view prefix = ustar ? field(header.prefix) : std::string_view();
    return prefix.empty() ? std::string(name) : fmt::format("{}/{}", prefix, name);
}

std::string clean_name(std::string_view raw, AbsoluteNames absolute, const char* what) {
    if (raw.empty() && absolute == AbsoluteNames::refuse) bad_archive(fmt::format("{} is empty", what));
    std::string out;
    for (const std::string_view component : util::path_components(raw)) {
        if (component == "..") bad_archive(fmt::format("{} {} leaves the root through \"..\"", what, util::quote(raw)));
        if (!out.empty()) out += '/';
        out += component;
    }
    if (raw.starts_with('/') && !out.empty() && absolute == AbsoluteNames::refuse) {
        bad_archive(fmt::format("{} {} is absolute", what, util::quote(raw)));
    }
    return out;
}

std::optional<EntryType> type_of(const Header& header, std::string_view name) {
    switch (header.type) {
        case '\0':
        case '0':
            // Before ustar, a directory was a file whose name ends in "/".
            return name.ends_with('/') ? EntryType::directory : EntryType::file;
        case '7':
        case 'S':
            return EntryType::file;
        case '1':
            return EntryType::hardlink;
        case '2':
            return EntryType::symlink;
        case '3':
            return EntryType::char_device;
        case '4':
            return EntryType::block_device;
        case '5':
        case 'D':
            return EntryType::directory;
        case '6':
            return EntryType::fifo;
        default:
            return std::nullopt;
    }
}

}  // namespace

class ArchiveReader::State {
public:
    State(util::Source& tar, AbsoluteNames absolute, ArchiveLimits limits, std::stop_token stop)
        : input_(tar, std::move(stop)), content_(input_), absolute_(absolute), limits_(limits) {}

    Entry* next() {
        content_.end();
        extended_ = global_;
        Header header{};
        while (read_header(header)) {
            if (take_extension(header)) continue;
            make_entry(header);
            return &entry_;
        }
        return nullptr;
    }
    util::Source& content() { return content_; }
    void drain() { input_.drain(); }

private:
    bool read_header(Header& header) {
        if (ended_) return false;
        const std::size_t n = input_.read_full(std::as_writable_bytes(std::span(&header, 1)));
        ended_ = n == 0 || is_zero(header);
        if (ended_) return false;
        if (n != kBlock) bad_archive("the archive ends in the middle of a header");
        if (!has_good_checksum(header)) bad_archive("a header has a wrong checksum");
        if (++headers_ > 4 * limits_.entries) over_limit("the archive has too many headers");
        return true;
    }

    // Headers that only say something about the next entry.
    bool take_extension(const Header& header) {
        switch (header.type) {
            case 'x':
            case 'X':
                tar::read_pax(read_body(header, limits_.pax_bytes), limits_.sparse_segments, extended_);
                return true;
            case 'g':
                tar::read_pax(read_body(header, limits_.global_pax_bytes), limits_.sparse_segments, global_);
                extended_ = global_;
                return true;
            case 'L':
                extended_.path = long_name(header);
                return true;
            case 'K':
                extended_.link = long_name(header);
                return true;
            case 'V':  // the label of a tape
                input_.skip(size_number(header.size, "the size"));
                input_.skip(tar::padding(size_number(header.size, "the size")));
                return true;
            default:
                return false;
        }
    }

    std::string read_body(const Header& header, std::size_t limit) {
        const std::uint64_t size = size_number(header.size, "the size");
        if (size > limit) over_limit(fmt::format("an extended header has {} bytes", size));
        std::string out(size, '\0');
        input_.require(std::as_writable_bytes(std::span(out)));
        input_.skip(tar::padding(size));
        return out;
    }

    std::string long_name(const Header& header) {
        std::string out = read_body(header, limits_.path_bytes + 1);
        out.resize(std::min(out.find('\0'), out.size()));
        return out;
    }

    void make_entry(const Header& header) {
        if (++entries_ > limits_.entries)
            over_limit(fmt::format("the archive has more than {} entries", limits_.entries));
        std::string raw = extended_.path ? *extended_.path : plain_name(header);
        if (extended_.real_name) raw = *extended_.real_name;
        const auto type = type_of(header, raw);
        if (!type) {
            bad_archive(
                fmt::format("{} has the unknown type {}", util::quote(raw), util::quote(std::string(1, header.type))));
        }
        entry_ = Entry{.path = clean_name(raw, absolute_, "the name"), .type = *type};
        if (entry_.path.size() > limits_.path_bytes)
            over_limit(fmt::format("the name {} is too long", util::quote(raw)));
        if (entry_.path.empty() && *type != EntryType::directory && absolute_ == AbsoluteNames::refuse)
            bad_archive("the root of the archive is no directory");
        read_metadata(header);
        read_link(header);
        begin_content(header);
    }

    void read_metadata(const Header& header) {
        entry_.mode = static_cast<std::uint32_t>(size_number(header.mode, "the mode") & 07777U);
        entry_.uid = extended_.uid ? *extended_.uid : id_number(header.uid, "the owner");
        entry_.gid = extended_.gid ? *extended_.gid : id_number(header.gid, "the group");
        entry_.mtime = extended_.mtime ? *extended_.mtime : number(header.mtime, "the time");
        entry_.xattrs = std::move(extended_.xattrs);
        normalise_capabilities(entry_.xattrs);
        if (entry_.type != EntryType::char_device && entry_.type != EntryType::block_device) return;
        entry_.dev_major = extended_.dev_major ? *extended_.dev_major : id_number(header.dev_major, "the device");
        entry_.dev_minor = extended_.dev_minor ? *extended_.dev_minor : id_number(header.dev_minor, "the device");
    }

    void read_link(const Header& header) {
        if (entry_.type != EntryType::symlink && entry_.type != EntryType::hardlink) return;
        std::string target = extended_.link ? *extended_.link : std::string(field(header.linkname));
        if (target.size() > limits_.path_bytes) {
            over_limit(fmt::format("the link {} has a target of {} bytes", util::quote(entry_.path), target.size()));
        }
        if (entry_.type == EntryType::hardlink) target = clean_name(target, absolute_, "the target of a hard link");
        if (target.empty()) bad_archive(fmt::format("the link {} has no target", util::quote(entry_.path)));
        entry_.link_target = std::move(target);
    }

    void begin_content(const Header& header) {
        const std::uint64_t stored = extended_.size ? *extended_.size : size_number(header.size, "the size");
        if (header.type == 'D') content_.begin(stored, tar::padding(stored));  // GNU's list of a directory
        if (header.type == 'D') content_.end();
        // The others have no contents, whatever their size says.
        if (entry_.type != EntryType::file) return;

        entry_.size = stored;
        if (header.type == 'S') {
            read_old_map(header);
        } else {
            content_.begin(stored, tar::padding(stored));
            if (extended_.sparse()) begin_pax_sparse();
        }
        if (entry_.size > limits_.content_bytes - contents_) {
            over_limit(fmt::format("the files of the archive have more than {} bytes", limits_.content_bytes));
        }
        contents_ += entry_.size;
    }

    void begin_pax_sparse() {
        if (!extended_.real_size) bad_archive("a sparse file has no size");
        entry_.size = *extended_.real_size;
        auto segments = extended_.map_in_data ? read_map_in_data() : std::move(extended_.segments);
        content_.begin_sparse(std::move(segments), entry_.size);
    }

    // Sparse format 1.0: decimal numbers, a line each, up to the next block: how many, then offset and size of each.
    std::vector<Segment> read_map_in_data() {
        std::array<char, kBlock> block{};
        std::size_t at = kBlock;
        const auto next_number = [&] {
            std::string digits;
            for (;;) {
                if (at == kBlock) {
                    content_.take_stored(std::as_writable_bytes(std::span(block)));
                    at = 0;
                }
                const char c = block[at++];
                if (c == '\n') return tar::parse_decimal(digits, "a number in the map of a sparse file");
                if (digits.size() >= 20) bad_archive("a number in the map of a sparse file is too long");
                digits += c;
            }
        };
        const std::uint64_t count = next_number();
        if (count > limits_.sparse_segments) over_limit("a sparse file has too many segments");
        std::vector<Segment> out;
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t offset = next_number();
            out.push_back({.offset = offset, .size = next_number()});
        }
        return out;
    }

    // GNU's first format: four segments in the header, 21 in each block after it.
    void read_old_map(const Header& header) {
        constexpr std::size_t kMap = 386;
        constexpr std::size_t kMore = 482;
        constexpr std::size_t kRealSize = 483;
        constexpr std::size_t kMoreInBlock = 504;
        constexpr std::size_t kSegment = 24;
        std::array<char, kBlock> block{};
        std::memcpy(block.data(), &header, kBlock);
        std::vector<Segment> segments;
        const std::span<const char> bytes(block);
        const std::uint64_t real_size = size_number(bytes.subspan(kRealSize, 12), "the size of a sparse file");
        add_old_segments(bytes.subspan(kMap, 4 * kSegment), segments);
        bool more = block[kMore] != 0;
        while (more) {
            input_.require(std::as_writable_bytes(std::span(block)));
            add_old_segments(bytes.first(21 * kSegment), segments);
            more = block[kMoreInBlock] != 0;
        }
        content_.begin(entry_.size, tar::padding(entry_.size));
        entry_.size = real_size;
        content_.begin_sparse(std::move(segments), real_size);
    }

    void add_old_segments(std::span<const char> pairs, std::vector<Segment>& segments) const {
        for (; !pairs.empty(); pairs = pairs.subspan(24)) {
            if (pairs[0] == '\0') continue;
            if (segments.size() >= limits_.sparse_segments) over_limit("a sparse file has too many segments");
            segments.push_back({.offset = size_number(pairs.first(12), "an offset in a sparse file"),
                                .size = size_number(pairs.subspan(12, 12), "a size in a sparse file")});
        }
    }

    ArchiveInput input_;
    ArchiveContent content_;
    AbsoluteNames absolute_;
    ArchiveLimits limits_;
    Extended global_;
    Extended extended_;
    Entry entry_;
    bool ended_ = false;
    std::uint64_t headers_ = 0;
    std::uint64_t entries_ = 0;
    std::uint64_t contents_ = 0;
};

ArchiveReader::ArchiveReader(util::Source& tar, AbsoluteNames absolute, ArchiveLimits limits, std::stop_token stop)
    : state_(std::make_unique<State>(tar, absolute, limits, std::move(stop))) {}

ArchiveReader::~ArchiveReader() = default;

Entry* ArchiveReader::next() {
    return state_->next();
}

util::Source& ArchiveReader::content() {
    return state_->content();
}

void ArchiveReader::drain() {
    state_->drain();
}

bool looks_like_tar(std::span<const std::byte> head) {
    if (head.size() < kBlock) return false;
    Header header{};
    std::memcpy(&header, head.data(), kBlock);
    return !is_zero(header) && has_good_checksum(header);
}

bool looks_like_archive(util::Source& file) {
    std::array<std::byte, kBlock> head{};
    std::size_t size = 0;
    try {
        const auto plain = open_compressed(file);
        while (size < head.size()) {
            const std::size_t n = plain->read(std::span(head).subspan(size));
            if (n == 0) break;
            size += n;
        }
    } catch (const CorruptData&) {
        return false;
    }
    return looks_like_tar(std::span(head).first(size));
}

}  // namespace imgbuild::layers
