#include "tests/unit/layers/layer_maker.hpp"

#include "layers/tar_format.hpp"
#include "layers/tree_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace imgbuild::layers::test {
namespace {

void put(std::span<char> field, std::string_view text) {
    std::memcpy(field.data(), text.data(), std::min(field.size(), text.size()));
}

template <class Number>
std::string octal(Number value, std::size_t digits) {
    return fmt::format("{:0{}o}", value, digits);
}

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
    std::string out(size, '\0');
    // A mixture: noise, text, and zeros long enough for a hole.
    const std::uint64_t kind = random() % 3;
    if (kind == 2) return out;
    for (char& c : out) c = static_cast<char>(kind == 0 ? random() : 'a' + random() % 4);
    return out;
}

std::string random_name(std::mt19937_64& random, int number) {
    switch (random() % 8) {
        case 0:
            return fmt::format("{}-{}", number, std::string(120 + random() % 100, 'n'));
        case 1:
            return fmt::format("{}-\xff\xfe", number);
        case 2:
            return fmt::format("{}-\xc3\xa4\xe2\x82\xac", number);
        case 3:
            return fmt::format(" {}\n=", number);
        default:
            return fmt::format("f{}", number);
    }
}

std::uint32_t random_id(std::mt19937_64& random) {
    switch (random() % 4) {
        case 0:
            return static_cast<std::uint32_t>(random() % 4'000'000'000U);
        case 1:
            return 1000;
        default:
            return 0;
    }
}

}  // namespace

std::string raw_entry(const RawHeader& header) {
    tar::Header block{};
    put(block.name, header.name);
    put(block.mode, octal(header.mode, 7));
    put(block.uid, octal(header.uid, 7));
    put(block.gid, octal(header.gid, 7));
    put(block.size, header.size_field.empty() ? octal(header.content.size(), 11) : header.size_field);
    put(block.mtime, octal(header.mtime, 11));
    block.type = header.type;
    put(block.linkname, header.link);
    put(block.magic, std::string_view("ustar\0", 6));
    put(block.version, "00");
    put(block.dev_major, octal(header.dev_major, 7));
    put(block.dev_minor, octal(header.dev_minor, 7));
    put(block.checksum, octal(tar::checksum(block).as_unsigned, 6) + std::string(1, '\0') + " ");
    std::string out(tar::kBlock, '\0');
    std::memcpy(out.data(), &block, tar::kBlock);
    out += header.content;
    out.append(tar::padding(header.content.size()), '\0');
    return out;
}

std::string pax_record(std::string_view key, std::string_view value) {
    const std::string rest = fmt::format(" {}={}\n", key, value);
    std::size_t length = rest.size() + 1;
    while (fmt::to_string(length).size() + rest.size() != length) ++length;
    return fmt::to_string(length) + rest;
}

std::string raw_pax(std::string_view records) {
    return raw_entry({.name = "pax", .type = 'x', .content = std::string(records)});
}

std::string raw_tar(const std::vector<RawHeader>& headers) {
    std::string out;
    for (const RawHeader& header : headers) out += raw_entry(header);
    return out + std::string(2 * tar::kBlock, '\0');
}

Entry directory(std::string path, std::uint32_t mode) {
    return {.path = std::move(path), .type = EntryType::directory, .mode = mode};
}
Entry file(std::string path, std::uint64_t size) {
    return {.path = std::move(path), .type = EntryType::file, .mode = 0644, .size = size};
}
Entry soft_link(std::string path, std::string target) {
    return {.path = std::move(path), .type = EntryType::symlink, .mode = 0777, .link_target = std::move(target)};
}
Entry whiteout(std::string path) {
    return {.path = std::move(path), .type = EntryType::whiteout};
}
Entry implied(std::string path) {
    Entry out = directory(std::move(path));
    out.implicit = true;
    return out;
}
Entry opaque(Entry entry) {
    entry.opaque = true;
    return entry;
}

std::shared_ptr<const NameIndex> layer(std::vector<Entry> entries) {
    return std::make_shared<const NameIndex>(std::move(entries));
}

NameIndex make_random_layer(std::mt19937_64& random, const util::RootedDir& tree) {
    TreeWriter writer(tree);
    std::vector<std::string> directories{""};
    std::vector<std::string> files;
    const int count = 20 + static_cast<int>(random() % 60);
    for (int i = 0; i < count; ++i) {
        Entry entry{.path = join_path(directories[random() % directories.size()], random_name(random, i))};
        entry.mode = static_cast<std::uint32_t>(random() & 07777U);
        entry.uid = random_id(random);
        entry.gid = random_id(random);
        entry.mtime = static_cast<std::int64_t>(random() % 3'000'000'000U) - 1'000'000;
        if (random() % 6 == 0) entry.xattrs["user.note"] = random_bytes(random, random() % 50);
        switch (random() % 8) {
            case 0:
            case 1:
                entry.type = EntryType::directory;
                entry.opaque = random() % 5 == 0;
                directories.push_back(entry.path);
                writer.add(entry);
                break;
            case 2:
                entry.type = EntryType::symlink;
                entry.mode = 0777;
                entry.xattrs.clear();
                entry.link_target = random() % 2 == 0 ? "/nowhere" : std::string(130, 't');
                writer.add(entry);
                break;
            case 3:
                writer.add(whiteout(entry.path));
                break;
            case 4:
                if (files.empty()) break;
                writer.add(
                    {.path = entry.path, .type = EntryType::hardlink, .link_target = files[random() % files.size()]});
                break;
            default: {
                const std::string content = random_bytes(random, random() % (random() % 10 == 0 ? 3'000'000 : 3000));
                entry.size = content.size();
                util::MemorySource source(content);
                files.push_back(entry.path);
                writer.add_file(entry, source);
            }
        }
    }
    return writer.finish();
}

std::uint64_t fresh_seed() {
    // IMGBUILD_SEED repeats a failure.
    if (const char* given = std::getenv("IMGBUILD_SEED")) return std::strtoull(given, nullptr, 10);
    return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

int rounds(int usual) {
    const char* given = std::getenv("IMGBUILD_ROUNDS");
    return given == nullptr ? usual : std::atoi(given);
}

}  // namespace imgbuild::layers::test
