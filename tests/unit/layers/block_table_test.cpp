#include "layers/block_table.hpp"

#include <imgbuild/error.hpp>

#include "layers/fsck.hpp"
#include "layers/prune.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "tests/unit/layers/store_fixture.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <random>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMiB = 1U << 20;
constexpr Codec kFastGzip{.kind = Codec::Kind::gzip, .level = 1};
// The header with the first MiB, five more, and what is left with the end of the tar.
constexpr std::size_t kBlocks = 7;

/// Lines that are all different and half digits.
std::string text(std::size_t size) {
    std::string out;
    for (std::uint64_t i = 1; out.size() < size; ++i) out += fmt::format("{} is {:x}\n", i, i * 0x9e3779b97f4a7c15);
    out.resize(size);
    return out;
}

void write_tar(const std::string& content, TarStream& out) {
    TarWriter writer(out);
    util::MemorySource source(content);
    writer.add_file({.path = "file", .type = EntryType::file, .mode = 0644, .size = content.size()}, source);
    writer.finish();
}

BlobInfo pack_from_nothing(const std::string& content, Codec codec) {
    util::StringSink blob;
    Packer packer(codec, &blob, 1);
    write_tar(content, packer.stream());
    const PackedBlob packed = packer.finish().blob.value();
    return {.digest = packed.digest, .size = packed.size};
}

struct Fixture : StoreFixture {
    std::optional<Lease> lease = store->begin_lease();
    std::string content = text(6 * kMiB + 300'000);

    struct Packed {
        BlobInfo blob;
        std::size_t found = 0;
    };
    Packed pack_file(Codec codec = kFastGzip, unsigned threads = 1) {
        BlobWriter writer = lease->begin_blob();
        BlockTable blocks(*lease, codec);
        Packer packer(codec, &writer, threads, &blocks);
        write_tar(content, packer.stream());
        packer.finish();
        const BlobInfo blob = writer.commit();
        blocks.record(blob);
        CHECK(blob == pack_from_nothing(content, codec));
        return {.blob = blob, .found = blocks.found()};
    }
    void change(std::size_t offset) { content[offset] = '!'; }

    std::string path_of(const BlobInfo& blob) const { return root + "/blobs/sha256/" + blob.digest.hex(); }
    /// Changes some bytes of a file in its place.
    static void damage(const std::string& path, std::size_t first, std::size_t step) {
        std::string bytes = util::read_file(path, 64 * kMiB);
        for (std::size_t i = first; i < bytes.size(); i += step) bytes[i] = static_cast<char>(bytes[i] ^ 1);
        util::write_all(util::open_path(path, O_WRONLY).get(), bytes, path);
    }
    std::size_t rows(const std::string& where = "1") const {
        sqlite::Database database(root + "/index.db");
        return static_cast<std::size_t>(database.query_integer("SELECT count(*) FROM blocks WHERE " + where));
    }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "all blocks but the changed one are taken from the blob before") {
    const Codec codec = GENERATE(as<Codec>{}, kFastGzip, Codec{.kind = Codec::Kind::zstd});
    const unsigned threads = GENERATE(1U, 4U);
    CHECK(pack_file(codec, threads).found == 0);
    CHECK(rows() == kBlocks);
    change(3 * kMiB);
    const Packed second = pack_file(codec, threads);
    CHECK(second.found == kBlocks - 1);
    // The newer blob takes over what both have, as it stays for longer.
    CHECK(rows() == kBlocks + 1);
    CHECK(rows(fmt::format("hex(digest) = upper('{}')", second.blob.digest.hex())) == kBlocks);
    change(0);
    CHECK(pack_file(codec, threads).found == kBlocks - 1);
}

TEST_CASE_METHOD(Fixture, "a file that grows is compressed from where it ended") {
    pack_file();
    content = text(9 * kMiB);
    // But for the first block, whose header has another size.
    CHECK(pack_file().found == kBlocks - 2);
}

TEST_CASE_METHOD(Fixture, "blocks of another level are not taken") {
    pack_file();
    CHECK(pack_file({.kind = Codec::Kind::gzip, .level = 2}).found == 0);
    CHECK(pack_file({.kind = Codec::Kind::zstd}).found == 0);
}

TEST_CASE_METHOD(Fixture, "a damaged blob gives no blocks, and the next one is good again") {
    const std::string path = path_of(pack_file().blob);
    change(0);
    SECTION("damaged everywhere") {
        damage(path, 0, 1000);
    }
    SECTION("in a byte that does not matter to whoever inflates it") {
        // The time of a member's header. All others are good.
        tamper("DELETE FROM blocks WHERE offset NOT IN (SELECT max(offset) FROM blocks)");
        const auto last = sqlite::Database(root + "/index.db").query_integer("SELECT max(offset) FROM blocks");
        damage(path, static_cast<std::size_t>(last) + 4, 64 * kMiB);
    }
    SECTION("cut short") {
        fs::resize_file(path, 100);
    }
    SECTION("gone") {
        fs::remove(path);
    }
    SECTION("something else") {
        fs::remove(path);
        fs::create_directory(path);
    }
    CHECK(pack_file().found == 0);
    change(kMiB);
    CHECK(pack_file().found == kBlocks - 1);
}

TEST_CASE_METHOD(Fixture, "a row that leads to other bytes is a miss") {
    pack_file();
    change(0);
    SECTION("to no block") {
        tamper("UPDATE blocks SET offset = offset + 1");
    }
    SECTION("behind the end") {
        tamper("UPDATE blocks SET offset = 1 << 40");
    }
    SECTION("before the beginning") {
        tamper("UPDATE blocks SET offset = -1");
    }
    SECTION("to more than a block") {
        tamper("UPDATE blocks SET length = 1 << 40");
    }
    SECTION("to nothing") {
        tamper("UPDATE blocks SET length = 0, checksum = 0");
    }
    SECTION("to another block, as for one of the same print") {
        tamper(
            "UPDATE blocks SET (offset, length, checksum) ="
            " (SELECT offset, length, checksum FROM blocks WHERE offset = 0)");
    }
    SECTION("to a blob that is not there") {
        tamper("UPDATE blocks SET digest = zeroblob(32)");
    }
    CHECK(pack_file().found == 0);
}

TEST_CASE_METHOD(Fixture, "small blocks are not remembered") {
    content = text(100'000);
    pack_file();
    CHECK(rows() == 0);
}

TEST_CASE_METHOD(Fixture, "noise is not remembered, as it is only copied") {
    std::mt19937_64 random(1);
    content.resize(3 * kMiB + 1000);
    for (char& c : content) c = static_cast<char>(random());
    pack_file();
    // But for the block with the header, which does become smaller.
    CHECK(rows("offset > 0") == 0);
}

TEST_CASE_METHOD(Fixture, "without compression nothing is remembered") {
    pack_file({.kind = Codec::Kind::none});
    CHECK(rows() == 0);
}

TEST_CASE_METHOD(Fixture, "a blob that was not committed leaves no rows") {
    const BlobInfo blob = pack_from_nothing(content, kFastGzip);
    BlockTable blocks(*lease, kFastGzip);
    util::StringSink nowhere;
    Packer packer(kFastGzip, &nowhere, 2, &blocks);
    write_tar(content, packer.stream());
    packer.finish();
    CHECK(rows() == 0);
    // Not even if somebody says that it was.
    blocks.record(blob);
    CHECK(rows() == 0);
}

TEST_CASE_METHOD(Fixture, "blocks go with their blob") {
    const BlobInfo blob = pack_file().blob;
    REQUIRE(rows() == kBlocks);
    SECTION("by pruning") {
        lease.reset();
        CHECK(prune(root, PruneRules::everything()).blobs == 1);
    }
    SECTION("once it is found damaged") {
        damage(path_of(blob), 0, 1000);
        CHECK_THROWS_AS(util::read_all(*lease->open_blob(blob), 64 * kMiB, "blob"), CorruptData);
    }
    SECTION("once it is found missing") {
        fs::remove(path_of(blob));
        CHECK_FALSE(lease->find_blob(blob.digest));
    }
    SECTION("by repair") {
        damage(path_of(blob), 0, 1000);
        CHECK(fsck(root, {.repair = true}).good());
    }
    SECTION("by repair, if somebody else took its row") {
        lease.reset();
        tamper("DELETE FROM blobs");
        fs::remove(path_of(blob));
        const FsckReport report = fsck(root, {.repair = true});
        REQUIRE(report.findings.size() == 1);
        CHECK(report.findings[0].problem == "blocks-lost");
    }
    CHECK(rows() == 0);
    if (!lease) lease.emplace(store->begin_lease());
    change(0);
    CHECK(pack_file().found == 0);
}

TEST_CASE_METHOD(Fixture, "blocks of an older blob are kept while a newer one lacks them") {
    const BlobInfo first = pack_file().blob;
    const std::string original = content;
    change(5 * kMiB);
    const BlobInfo second = pack_file().blob;
    REQUIRE(first.digest != second.digest);
    fs::remove(path_of(second));
    CHECK_FALSE(lease->find_blob(second.digest));
    CHECK(rows() == 1);
    content = original;
    change(0);
    CHECK(pack_file().found == 1);
}

TEST_CASE("a block is proven by all of its compressed bytes") {
    const Codec codec =
        GENERATE(as<Codec>{}, kFastGzip, Codec{.kind = Codec::Kind::zstd}, Codec{.kind = Codec::Kind::none});
    const std::string one = text(300'000);
    std::string other = one;
    other.back() = '!';
    const auto compressed = compress_block(codec, util::as_bytes(one));
    CHECK(makes_block(codec, compressed, util::as_bytes(one)));
    CHECK_FALSE(makes_block(codec, compressed, util::as_bytes(other)));
    CHECK_FALSE(makes_block(codec, compressed, util::as_bytes(one + "!")));
    CHECK_FALSE(makes_block(codec, compressed, util::as_bytes(one).first(one.size() - 1)));
    CHECK_FALSE(makes_block(codec, std::span(compressed).first(compressed.size() - 1), util::as_bytes(one)));
    CHECK_FALSE(makes_block(codec, {}, util::as_bytes(one)));
    auto longer = compressed;
    longer.push_back(std::byte{0});
    CHECK_FALSE(makes_block(codec, longer, util::as_bytes(one)));
}

TEST_CASE("prints tell blocks apart") {
    const std::string one = text(200'000);
    std::string other = one;
    std::swap(other[1000], other[150'000]);
    REQUIRE(one != other);
    CHECK(print_of(util::as_bytes(one)).sums == print_of(util::as_bytes(std::string(one))).sums);
    CHECK(print_of(util::as_bytes(one)).sums != print_of(util::as_bytes(other)).sums);
    CHECK(print_of(util::as_bytes(one)).size == one.size());
    // As RFC 1950 and 1952 have them.
    CHECK(print_of(util::as_bytes("123456789")).sums == 0xcbf43926'091e01de);
}
