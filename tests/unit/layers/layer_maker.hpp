// What the tests of this room share: temporary trees, foreign tars of any wickedness, random layers.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "layers/name_index.hpp"
#include "layers/tar_writer.hpp"
#include "util/files.hpp"
#include "util/rooted_dir.hpp"

namespace imgbuild::layers::test {

/// An empty directory on the disk, opened.
class Tree {
public:
    Tree() : directory_("/tmp", "imgbuild-test-"), root_(util::RootedDir::open(directory_.path())) {}
    const util::RootedDir& root() const { return root_; }
    const std::string& path() const { return directory_.path(); }
    std::string read(std::string_view path) const { return root_.read_file(path, 64U << 20).value_or("(none)"); }

private:
    util::TempDir directory_;
    util::RootedDir root_;
};

/// A header of an old-school tar, to be filled with anything.
struct RawHeader {
    std::string name;
    char type = '0';
    std::string link;
    std::string content;
    std::uint64_t mode = 0644;
    std::uint64_t uid = 0;
    std::uint64_t gid = 0;
    std::uint64_t mtime = 0;
    /// In place of the content's.
    std::string size_field;
    std::uint64_t dev_major = 0;
    std::uint64_t dev_minor = 0;
};

/// The header and content blocks, with a right checksum.
std::string raw_entry(const RawHeader& header);
/// "length key=value\n"
std::string pax_record(std::string_view key, std::string_view value);
/// An extended header with these records.
std::string raw_pax(std::string_view records);
/// All of them and the end mark.
std::string raw_tar(const std::vector<RawHeader>& headers);

/// Collects a tar and forgets the places to cut.
class TarString final : public TarStream {
public:
    void begin_entry(std::string_view) override {}
    void begin_content(std::uint64_t) override {}
    void write(std::span<const std::byte> bytes) override { text_.write(bytes); }
    const std::string& text() const { return text_.text(); }

private:
    util::StringSink text_;
};

Entry directory(std::string path, std::uint32_t mode = 0755);
Entry file(std::string path, std::uint64_t size = 0);
Entry soft_link(std::string path, std::string target);
Entry whiteout(std::string path);
Entry implied(std::string path);
Entry opaque(Entry entry);

std::shared_ptr<const NameIndex> layer(std::vector<Entry> entries);

/// A layer with some of everything that can be in one: long and odd names, links, holes, large files, attributes.
NameIndex make_random_layer(std::mt19937_64& random, const util::RootedDir& tree);

/// Prints the seed when the test that owns it fails.
std::uint64_t fresh_seed();
/// How often a property is tried: `usual` times, or IMGBUILD_ROUNDS (tools/ci.sh --full sets it).
int rounds(int usual);

}  // namespace imgbuild::layers::test
