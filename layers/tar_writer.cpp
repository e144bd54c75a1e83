#include "layers/tar_writer.hpp"

#include <imgbuild/error.hpp>

#include "layers/tar_format.hpp"
#include "util/assert.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

using tar::Header;
using tar::kBlock;

constexpr std::uint64_t kMaxOctal7 = 07777777;
constexpr std::uint64_t kMaxOctal11 = 077777777777;
constexpr std::array<std::byte, kBlock> kZeros{};

struct Record {
    std::string key;
    std::string_view value;
};

void put_text(std::span<char> field, std::string_view text) {
    std::memcpy(field.data(), text.data(), std::min(text.size(), field.size()));
}

// Octal digits and a NUL. What does not fit is in a pax record, and the field is zero.
void put_octal(std::span<char> field, std::uint64_t value) {
    const std::size_t digits = field.size() - 1;
    for (std::size_t i = digits; i > 0; --i) {
        field[i - 1] = static_cast<char>('0' + (value & 7));
        value >>= 3;
    }
    field[digits] = '\0';
    if (value != 0) std::fill_n(field.begin(), digits, '0');
}

// The rightmost "/" that leaves a fitting prefix and a non-empty name; npos if there is none.
std::size_t split_point(std::string_view name) {
    const std::size_t last = std::min(name.size() - 1, sizeof(Header::prefix));
    for (std::size_t at = last; at > 0; --at) {
        if (name[at] == '/' && at + 1 < name.size()) {
            return name.size() - at - 1 <= sizeof(Header::name) ? at : std::string_view::npos;
        }
    }
    return std::string_view::npos;
}

// Says whether ustar has room for the name; if not, its beginning stands there for readers without pax.
bool put_name(Header& header, std::string_view name) {
    if (name.size() <= sizeof header.name) {
        put_text(header.name, name);
        return true;
    }
    const std::size_t at = split_point(name);
    if (at == std::string_view::npos) {
        put_text(header.name, name.substr(0, sizeof header.name));
        return false;
    }
    put_text(header.prefix, name.substr(0, at));
    put_text(header.name, name.substr(at + 1));
    return true;
}

void put_checksum(Header& header) {
    std::memset(header.checksum, ' ', sizeof header.checksum);
    const std::string digits = fmt::format("{:06o}", tar::checksum(header).as_unsigned);
    put_text(header.checksum, digits);
    header.checksum[6] = '\0';
}

Header empty_header(char type) {
    Header header{};
    header.type = type;
    put_text(header.magic, std::string_view("ustar\0", 6));
    put_text(header.version, "00");
    return header;
}

// "length key=value\n", where the length counts itself.
void append_record(std::string& out, std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;  // " ", "=", "\n"
    std::size_t total = rest + 1;
    while (rest + fmt::formatted_size("{}", total) > total) ++total;
    fmt::format_to(std::back_inserter(out), "{} {}=", total, key);
    out += value;
    out += '\n';
}

void check_name(std::string_view what, const Entry& entry) {
    if (!what.contains('\0')) return;
    throw Error({.code = "layers.bad-name",
                 .message = fmt::format("{} has a NUL in a name", util::quote(entry.path)),
                 .hint = {},
                 .where = {}});
}

std::string xattr_key(const std::string& name, const Entry& entry) {
    if (name.empty() || name.contains('=') || name.contains('\0')) {
        throw Error({.code = "layers.bad-xattr",
                     .message = fmt::format("the extended attribute {} of {} cannot be written to a tar",
                                            util::quote(name), util::quote(entry.path)),
                     .hint = "a pax record ends its name with \"=\"; remove the attribute in the step that sets it",
                     .where = {}});
    }
    return "SCHILY.xattr." + name;
}

// A file header, and what it had no room for.
class HeaderMaker {
public:
    HeaderMaker(const Entry& entry, char type) : entry_(entry), header_(empty_header(type)) {}

    void name(std::string_view name) {
        check_name(name, entry_);
        if (!put_name(header_, name)) text_record("path", name);
    }
    void link(std::string_view target) {
        check_name(target, entry_);
        put_text(header_.linkname, target);
        if (target.size() > sizeof header_.linkname) text_record("linkpath", target);
    }
    void number(std::span<char> field, std::uint64_t value, std::uint64_t max, const char* key) {
        put_octal(field, value <= max ? value : 0);
        if (value > max) number_record(key, fmt::to_string(value));
    }
    void time() {
        const bool fits = entry_.mtime >= 0 && std::cmp_less_equal(entry_.mtime, kMaxOctal11);
        put_octal(header_.mtime, fits ? static_cast<std::uint64_t>(entry_.mtime) : 0);
        if (!fits) number_record("mtime", fmt::to_string(entry_.mtime));
    }
    void xattrs() {
        for (const auto& [name, value] : entry_.xattrs) records_.push_back({xattr_key(name, entry_), value});
    }
    Header& header() { return header_; }

    // All records, sorted by key. The character set comes first, since it tells how to read the others.
    std::string pax() {
        std::string out;
        if (binary_) append_record(out, "hdrcharset", "BINARY");
        std::sort(records_.begin(), records_.end(), [](const Record& a, const Record& b) { return a.key < b.key; });
        for (const Record& record : records_) append_record(out, record.key, record.value);
        return out;
    }

private:
    void text_record(const char* key, std::string_view value) {
        records_.push_back({key, value});
        binary_ = binary_ || !util::is_valid_utf8(value);
    }
    void number_record(const char* key, std::string digits) {
        numbers_.push_back(std::make_unique<std::string>(std::move(digits)));
        records_.push_back({key, *numbers_.back()});
    }

    const Entry& entry_;
    Header header_;
    std::vector<Record> records_;
    std::vector<std::unique_ptr<std::string>> numbers_;
    bool binary_ = false;
};

void write_padding(util::Sink& out, std::uint64_t size) {
    out.write(std::span(kZeros).first(tar::padding(size)));
}

void write_header(util::Sink& out, Header& header) {
    put_checksum(header);
    out.write(std::as_bytes(std::span(&header, 1)));
}

void write_pax(util::Sink& out, std::string_view records, std::string_view path) {
    Header header = empty_header('x');
    std::string name = "PaxHeaders/";
    name += path.empty() ? "." : base_name(path);
    put_text(header.name, std::string_view(name).substr(0, sizeof header.name));
    put_octal(header.mode, 0644);
    put_octal(header.uid, 0);
    put_octal(header.gid, 0);
    put_octal(header.size, records.size());
    put_octal(header.mtime, 0);
    put_octal(header.dev_major, 0);
    put_octal(header.dev_minor, 0);
    write_header(out, header);
    out.write(util::as_bytes(records));
    write_padding(out, records.size());
}

char type_flag(EntryType type) {
    switch (type) {
        case EntryType::file:
        case EntryType::whiteout:
            return '0';
        case EntryType::hardlink:
            return '1';
        case EntryType::symlink:
            return '2';
        case EntryType::char_device:
            return '3';
        case EntryType::block_device:
            return '4';
        case EntryType::directory:
            return '5';
        case EntryType::fifo:
            return '6';
    }
    std::unreachable();
}

std::string directory_name(std::string_view path) {
    return path.empty() ? "./" : std::string(path) + "/";
}

}  // namespace

void TarWriter::write_headers(const Entry& entry, std::string_view name, char type) {
    HeaderMaker maker(entry, type);
    Header& header = maker.header();
    maker.name(name);
    if (entry.type == EntryType::symlink || entry.type == EntryType::hardlink) maker.link(entry.link_target);
    put_octal(header.mode, entry.mode & 07777U);
    maker.number(header.uid, entry.uid, kMaxOctal7, "uid");
    maker.number(header.gid, entry.gid, kMaxOctal7, "gid");
    maker.number(header.size, entry.type == EntryType::file ? entry.size : 0, kMaxOctal11, "size");
    maker.time();
    maker.number(header.dev_major, entry.dev_major, kMaxOctal7, "SCHILY.devmajor");
    maker.number(header.dev_minor, entry.dev_minor, kMaxOctal7, "SCHILY.devminor");
    // The names of one file share its attributes; they are said once.
    if (entry.type != EntryType::hardlink) maker.xattrs();

    const std::string records = maker.pax();
    if (!records.empty()) write_pax(out_, records, entry.path);
    write_header(out_, header);
}

void TarWriter::write_mark(const Entry& like, const std::string& name) {
    const Entry mark{.path = name, .type = EntryType::whiteout, .mtime = like.mtime};
    write_headers(mark, name, '0');
}

void TarWriter::add(const Entry& entry) {
    IMGBUILD_ASSERT(entry.type != EntryType::file || entry.size == 0);
    if (entry.implicit && !entry.opaque) return;
    out_.begin_entry(entry.path);
    if (entry.type == EntryType::whiteout) {
        write_mark(entry, join_path(parent_path(entry.path), fmt::format(".wh.{}", base_name(entry.path))));
    } else if (entry.type == EntryType::directory) {
        if (!entry.implicit) write_headers(entry, directory_name(entry.path), '5');
        if (entry.opaque) write_mark(entry, join_path(entry.path, ".wh..wh..opq"));
    } else {
        write_headers(entry, entry.path, type_flag(entry.type));
    }
}

void TarWriter::add_file_headers(const Entry& entry) {
    IMGBUILD_ASSERT(entry.type == EntryType::file);
    out_.begin_entry(entry.path);
    write_headers(entry, entry.path, '0');
    out_.begin_content(entry.size);
}

void TarWriter::add_file(const Entry& entry, util::Source& content) {
    add_file_headers(entry);
    if (buffer_.empty()) buffer_.resize(kBufferBytes);
    std::uint64_t left = entry.size;
    // One byte more than there should be is asked for, so that an excess is seen without another call for most files.
    for (;;) {
        const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left + 1, buffer_.size()));
        const std::size_t n = content.read(std::span(buffer_).first(wanted));
        if (n > left) throw CorruptData(util::quote(entry.path), fmt::format("{} bytes", entry.size), "more");
        if (n == 0) break;
        out_.write(std::span(buffer_).first(n));
        left -= n;
    }
    if (left > 0) {
        throw CorruptData(util::quote(entry.path), fmt::format("{} bytes", entry.size),
                          fmt::format("{}", entry.size - left));
    }
    write_padding(out_, entry.size);
}

void TarWriter::finish() {
    out_.write(kZeros);
    out_.write(kZeros);
}

}  // namespace imgbuild::layers
