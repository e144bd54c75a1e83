#include "layers/pax.hpp"

#include "layers/failure.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace imgbuild::layers::tar {
namespace {

constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

std::uint32_t parse_small(std::string_view digits, std::string_view what) {
    const std::uint64_t value = parse_decimal(digits, what);
    if (value > std::numeric_limits<std::uint32_t>::max()) bad_archive(fmt::format("{} is too large: {}", what, value));
    return static_cast<std::uint32_t>(value);
}

// "-1.5" is -2: times are cut towards the past, as the clamping of directories does.
std::int64_t parse_time(std::string_view text) {
    const auto dot = text.find('.');
    const std::string_view whole = text.substr(0, dot);
    const std::string_view fraction = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
    if (error != std::errc() || end != whole.data() + whole.size() ||
        fraction.find_first_not_of("0123456789") != std::string_view::npos) {
        bad_archive(fmt::format("the time {} is no number", util::quote(text)));
    }
    const bool cut = fraction.find_first_not_of('0') != std::string_view::npos;
    if (text.starts_with('-') && cut && seconds > std::numeric_limits<std::int64_t>::min()) --seconds;
    return seconds;
}

std::string checked_name(std::string_view name) {
    if (name.contains('\0')) bad_archive(fmt::format("the name {} has a NUL in it", util::quote(name)));
    return std::string(name);
}

// GNU.sparse 0.0 says each number in a record of its own, 0.1 all in one, 1.0 only that they come later.
void read_sparse(std::string_view key, std::string_view value, std::size_t max_segments, Extended& into) {
    if (key == "size" || key == "realsize") {
        into.real_size = parse_decimal(value, "the size of a sparse file");
    } else if (key == "name") {
        into.real_name = checked_name(value);
    } else if (key == "offset") {
        if (into.segments.size() >= max_segments) over_limit("a sparse file has too many segments");
        into.segments.push_back({.offset = parse_decimal(value, "an offset in a sparse file"), .size = 0});
    } else if (key == "numbytes") {
        if (into.segments.empty()) bad_archive("a segment of a sparse file has no offset");
        into.segments.back().size = parse_decimal(value, "a size in a sparse file");
    } else if (key == "map") {
        const auto numbers = util::split(value, ',');
        if (numbers.size() / 2 > max_segments) over_limit("a sparse file has too many segments");
        if (numbers.size() % 2 != 0) bad_archive("the map of a sparse file has a number too few");
        into.segments.clear();
        for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
            into.segments.push_back({.offset = parse_decimal(numbers[i], "an offset in a sparse file"),
                                     .size = parse_decimal(numbers[i + 1], "a size in a sparse file")});
        }
    } else if (key == "major") {
        if (value != "1" && value != "0") bad_archive(fmt::format("sparse format {} is unknown", util::quote(value)));
        into.map_in_data = value == "1";
    }
}

// Records that we do not know say things that layers do not have (access times, names of owners, comments): passed
// over, as POSIX wants it.
void read_record(std::string_view key, std::string_view value, std::size_t max_segments, Extended& into) {
    constexpr std::string_view kSparse = "GNU.sparse.";
    if (key.starts_with(kXattrPrefix)) {
        into.xattrs.insert_or_assign(std::string(key.substr(kXattrPrefix.size())), std::string(value));
    } else if (key.starts_with(kSparse)) {
        read_sparse(key.substr(kSparse.size()), value, max_segments, into);
    } else if (value.empty()) {
        return;  // "the plain header's value holds"
    } else if (key == "path") {
        into.path = checked_name(value);
    } else if (key == "linkpath") {
        into.link = checked_name(value);
    } else if (key == "size") {
        into.size = parse_decimal(value, "a size");
    } else if (key == "uid") {
        into.uid = parse_small(value, "an owner");
    } else if (key == "gid") {
        into.gid = parse_small(value, "a group");
    } else if (key == "mtime") {
        into.mtime = parse_time(value);
    } else if (key == "SCHILY.devmajor") {
        into.dev_major = parse_small(value, "a device number");
    } else if (key == "SCHILY.devminor") {
        into.dev_minor = parse_small(value, "a device number");
    }
}

}  // namespace

std::uint64_t parse_decimal(std::string_view digits, std::string_view what) {
    const auto value = util::parse_number(digits);
    if (!value) bad_archive(fmt::format("{} is no number: {}", what, util::quote(digits)));
    return *value;
}

void read_pax(std::string_view records, std::size_t max_segments, Extended& into) {
    while (!records.empty()) {
        const auto blank = records.find(' ');
        if (blank == std::string_view::npos) bad_archive("an extended header has a record without a length");
        const std::uint64_t length =
            parse_decimal(records.substr(0, blank), "the length of an extended header's record");
        if (length > records.size() || length < blank + 3 || records[length - 1] != '\n') {
            bad_archive("an extended header has a record of a wrong length");
        }
        const std::string_view record = records.substr(blank + 1, length - blank - 2);
        const auto equals = record.find('=');
        if (equals == std::string_view::npos || equals == 0)
            bad_archive("an extended header has a record without a name");
        read_record(record.substr(0, equals), record.substr(equals + 1), max_segments, into);
        records.remove_prefix(length);
    }
}

}  // namespace imgbuild::layers::tar
