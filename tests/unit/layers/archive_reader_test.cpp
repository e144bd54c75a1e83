#include "layers/archive_reader.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "util/fd.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

struct Read {
    Entry entry;
    std::string content;
};

std::vector<Read> read_archive(std::string_view tar, AbsoluteNames absolute = AbsoluteNames::refuse,
                               ArchiveLimits limits = {}) {
    util::MemorySource source(tar);
    ArchiveReader reader(source, absolute, limits);
    std::vector<Read> out;
    while (const Entry* entry = reader.next()) {
        out.push_back({*entry, util::read_all(reader.content(), 1U << 24, "test")});
    }
    return out;
}

std::string code_of(std::string_view tar, ArchiveLimits limits = {}) {
    try {
        read_archive(tar, AbsoluteNames::refuse, limits);
    } catch (const Error& error) {
        return error.code();
    }
    return "(no error)";
}

const std::string kEnd(1024, '\0');

std::string with_pax(std::string_view records, const RawHeader& header) {
    return raw_pax(records) + raw_entry(header) + kEnd;
}

}  // namespace

TEST_CASE("names are bytes, whether a header or an extended header has them") {
    const std::string name = "caf\xe9/\xff\xfe";
    const auto plain = read_archive(raw_tar({{.name = name}}));
    REQUIRE(plain.size() == 1);
    CHECK(plain[0].entry.path == name);
    const auto pax =
        read_archive(with_pax(pax_record("path", name) + pax_record("linkpath", "\xe9"), {.name = "x", .type = '2'}));
    REQUIRE(pax.size() == 1);
    CHECK(pax[0].entry.path == name);
    CHECK(pax[0].entry.link_target == "\xe9");
}

TEST_CASE("an extended header says more than the plain one, and only for its entry") {
    const std::string records = pax_record("path", "long") + pax_record("uid", "4000000000") + pax_record("gid", "7") +
                                pax_record("mtime", "-1.5") +
                                pax_record("SCHILY.xattr.user.a", std::string("\0b=\n", 4)) +
                                pax_record("comment", "ignored") + pax_record("size", "3");
    const auto out = read_archive(raw_pax(records) + raw_entry({.name = "short", .content = "abc", .size_field = "0"}) +
                                  raw_entry({.name = "next", .mtime = 5}) + kEnd);
    REQUIRE(out.size() == 2);
    CHECK(out[0].entry.path == "long");
    CHECK(out[0].entry.uid == 4'000'000'000U);
    CHECK(out[0].entry.gid == 7);
    CHECK(out[0].entry.mtime == -2);
    CHECK(out[0].entry.xattrs.at("user.a") == std::string("\0b=\n", 4));
    CHECK(out[0].content == "abc");
    CHECK(out[1].entry == Entry{.path = "next", .mode = 0644, .mtime = 5});
}

TEST_CASE("a global extended header holds until the next") {
    const auto out = read_archive(raw_entry({.name = "g", .type = 'g', .content = pax_record("mtime", "9")}) +
                                  raw_entry({.name = "a"}) + raw_pax(pax_record("mtime", "10.9")) +
                                  raw_entry({.name = "b"}) + raw_entry({.name = "c"}) + kEnd);
    REQUIRE(out.size() == 3);
    CHECK(out[0].entry.mtime == 9);
    CHECK(out[1].entry.mtime == 10);
    CHECK(out[2].entry.mtime == 9);
}

TEST_CASE("sparse files of every format come out whole") {
    const auto name = GENERATE("sparse-gnu.tar", "sparse-pax-0.0.tar", "sparse-pax-0.1.tar", "sparse-pax-1.0.tar");
    const auto out = read_archive(util::read_file(std::string("testdata/tar/") + name, 1U << 20));
    REQUIRE(out.size() == 1);
    CHECK(out[0].entry.path == "sparse");
    CHECK(out[0].entry.size == 800'000);
    CHECK(util::Sha256::of(out[0].content).hex() == "c984e6a4949cd4f2decfb1c206b57c353b9352172f0be0f1d590951a7bfe6887");
}

TEST_CASE("archives older than ustar are read") {
    const auto out = read_archive(util::read_file("testdata/tar/v7.tar", 1U << 20));
    REQUIRE(out.size() == 4);
    CHECK(out[0].entry.path == "d");
    CHECK(out[0].entry.type == EntryType::directory);
    CHECK(out[1].content == "hi");
    CHECK(out[2].entry.type == EntryType::hardlink);
    CHECK(out[2].entry.link_target == "f");
    CHECK(out[3].entry.type == EntryType::symlink);
}

TEST_CASE("GNU's long names are read, and its root directory is the root") {
    const auto out = read_archive(util::read_file("testdata/tar/names-gnu.tar", 1U << 20));
    REQUIRE(out.size() == 6);
    CHECK(out[0].entry.path.empty());
    CHECK(out[5].entry.path == std::string(120, 'x'));
    CHECK(out[5].content == "long");
}

TEST_CASE("base-256 numbers are read") {
    std::string size(12, '\0');
    size[0] = static_cast<char>(0x80);
    size[11] = 3;
    const auto out = read_archive(raw_tar({{.name = "f", .content = "abc", .size_field = size}}));
    REQUIRE(out.size() == 1);
    CHECK(out[0].content == "abc");
}

TEST_CASE("contents that nobody reads are passed over") {
    const std::string tar =
        raw_tar({{.name = "a", .content = std::string(700'000, 'a')}, {.name = "b", .content = "b"}});
    util::MemorySource source(tar);
    ArchiveReader reader(source, AbsoluteNames::refuse);
    REQUIRE(reader.next() != nullptr);
    std::byte one{};
    CHECK(reader.content().read(std::span(&one, 1)) == 1);
    REQUIRE(reader.next() != nullptr);
    CHECK(util::read_all(reader.content(), 10, "test") == "b");
    CHECK(reader.next() == nullptr);
    CHECK(reader.next() == nullptr);
}

TEST_CASE("an archive may end with the contents of its last file") {
    const std::string tar = raw_tar({{.name = "a", .content = "a"}, {.name = "b", .content = "bcd"}});
    const auto entries = read_archive(std::string_view(tar).substr(0, 3 * 512 + 3));
    REQUIRE(entries.size() == 2);
    CHECK(entries[1].content == "bcd");
}

TEST_CASE("names are cleaned as tar does it, and absolute ones only where that is wanted") {
    CHECK(read_archive(raw_tar({{.name = "./a//b/./c"}}))[0].entry.path == "a/b/c");
    CHECK(read_archive(raw_tar({{.name = "/a"}}), AbsoluteNames::strip)[0].entry.path == "a");
    CHECK(read_archive(raw_tar({{.name = "/", .type = '5'}}))[0].entry.path.empty());
    CHECK(read_archive(raw_tar({{.name = ""}}), AbsoluteNames::strip)[0].entry.path.empty());
    CHECK(code_of(raw_tar({{.name = "/a"}})) == "corrupt.archive");
}

TEST_CASE("hostile archives are refused") {
    const RawHeader file{.name = "f", .content = "abc"};
    const std::string sparse = pax_record("GNU.sparse.major", "0") + pax_record("GNU.sparse.size", "100");
    const auto [what, tar, code] = GENERATE_COPY(table<std::string, std::string, std::string>({
        {"..", raw_tar({{.name = "../x"}}), "corrupt.archive"},
        {".. inside", raw_tar({{.name = "a/../../x"}}), "corrupt.archive"},
        {".. in a pax path", with_pax(pax_record("path", "a/.."), file), "corrupt.archive"},
        {"hard link outside", raw_tar({{.name = "h", .type = '1', .link = "../../etc/passwd"}}), "corrupt.archive"},
        {"absolute hard link", raw_tar({{.name = "h", .type = '1', .link = "/etc/passwd"}}), "corrupt.archive"},
        {"hard link to the root", raw_tar({{.name = "h", .type = '1', .link = "./"}}), "corrupt.archive"},
        {"link to nothing", raw_tar({{.name = "l", .type = '2'}}), "corrupt.archive"},
        {"no name", raw_tar({{.name = ""}}), "corrupt.archive"},
        {"root as a file", raw_tar({{.name = "."}}), "corrupt.archive"},
        {"NUL in a pax path", with_pax(pax_record("path", std::string("a\0b", 3)), file), "corrupt.archive"},
        {"unknown type", raw_tar({{.name = "f", .type = 'Z'}}), "corrupt.archive"},
        {"bad checksum", "x" + raw_tar({file}).substr(1), "corrupt.archive"},
        {"short header", raw_tar({file}).substr(0, 300), "corrupt.archive"},
        {"short contents", raw_tar({file}).substr(0, 513), "corrupt.archive"},
        {"negative size", raw_tar({{.name = "f", .size_field = std::string(12, '\xff')}}), "corrupt.archive"},
        {"huge base-256 size", raw_tar({{.name = "f", .size_field = "\x80" + std::string(11, '\x7f')}}),
         "corrupt.archive"},
        {"size is text", raw_tar({{.name = "f", .size_field = "abc"}}), "corrupt.archive"},
        {"huge size", raw_tar({{.name = "f", .size_field = "77777777777"}, file}), "corrupt.archive"},
        {"pax size is text", with_pax(pax_record("size", "1x"), file), "corrupt.archive"},
        {"pax uid too large", with_pax(pax_record("uid", "4294967296"), file), "corrupt.archive"},
        {"pax time is text", with_pax(pax_record("mtime", "now"), file), "corrupt.archive"},
        {"pax record without length", with_pax("path=a\n", file), "corrupt.archive"},
        {"pax record too long", with_pax("99 path=a\n", file), "corrupt.archive"},
        {"pax record too short", with_pax("3 path=a\n", file), "corrupt.archive"},
        {"pax length overflows", with_pax("99999999999999999999 a=b\n", file), "corrupt.archive"},
        {"sparse without data", with_pax(sparse + pax_record("GNU.sparse.map", "0,4"), file), "corrupt.archive"},
        {"sparse outside", with_pax(sparse + pax_record("GNU.sparse.map", "98,3"), file), "corrupt.archive"},
        {"sparse backwards", with_pax(sparse + pax_record("GNU.sparse.map", "10,1,5,2"), file), "corrupt.archive"},
        {"sparse overflow", with_pax(sparse + pax_record("GNU.sparse.map", "18446744073709551615,3"), file),
         "corrupt.archive"},
        {"sparse odd map", with_pax(sparse + pax_record("GNU.sparse.map", "1,2,3"), file), "corrupt.archive"},
        {"sparse 1.0 without map",
         with_pax(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.realsize", "9"), file),
         "corrupt.archive"},
        {"sparse without size", with_pax(pax_record("GNU.sparse.major", "1"), file), "corrupt.archive"},
    }));
    INFO(what);
    CHECK(code_of(tar) == code);
}

TEST_CASE("too much of anything is refused") {
    const RawHeader file{.name = "f", .content = "abc"};
    CHECK(code_of(raw_tar({file, file, file}), {.entries = 2}) == "corrupt.archive-limit");
    CHECK(code_of(raw_tar({file, file}), {.content_bytes = 5}) == "corrupt.archive-limit");
    CHECK(code_of(raw_tar({{.name = "a/long"}}), {.path_bytes = 5}) == "corrupt.archive-limit");
    CHECK(code_of(raw_tar({{.name = "l", .type = '2', .link = "123456"}}), {.path_bytes = 5}) ==
          "corrupt.archive-limit");
    CHECK(code_of(with_pax(pax_record("a", "b"), file), {.pax_bytes = 3}) == "corrupt.archive-limit");
    const std::string huge = pax_record("GNU.sparse.size", "9000000000000000") + pax_record("GNU.sparse.map", "0,3");
    CHECK(code_of(with_pax(huge, file)) == "corrupt.archive-limit");
    std::string headers;
    for (int i = 0; i < 50; ++i) headers += raw_pax(pax_record("a", "b"));
    CHECK(code_of(headers + raw_tar({file}), {.entries = 10}) == "corrupt.archive-limit");
}

TEST_CASE("a request to stop ends the reading") {
    std::stop_source stop;
    stop.request_stop();
    const std::string tar = raw_tar({{.name = "f"}});
    util::MemorySource source(tar);
    ArchiveReader reader(source, AbsoluteNames::refuse, {}, stop.get_token());
    CHECK_THROWS_AS(reader.next(), Cancelled);
}

TEST_CASE("an archive is known by its contents, however it is compressed") {
    const auto name = GENERATE("v7.tar", "v7.tar.gz", "v7.tar.bz2", "v7.tar.xz", "v7.tar.zst", "sparse-gnu.tar");
    const std::string bytes = util::read_file(std::string("testdata/tar/") + name, 1U << 20);
    util::MemorySource source(bytes);
    CHECK(looks_like_archive(source));
}

TEST_CASE("what only resembles an archive is none") {
    const auto bytes = GENERATE(as<std::string>{}, "", "text", "\x1f\x8b", "BZh9 is not bzip2", std::string(2048, '\0'),
                                std::string(512, 'a'), std::string("\x28\xb5\x2f\xfd garbage"));
    util::MemorySource source(bytes);
    CHECK_FALSE(looks_like_archive(source));
}
