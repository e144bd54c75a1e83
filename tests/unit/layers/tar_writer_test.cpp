#include "layers/tar_writer.hpp"

#include <imgbuild/error.hpp>

#include "layers/archive_reader.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

std::string tar_of(const std::vector<Entry>& entries) {
    TarString out;
    TarWriter writer(out);
    for (const Entry& entry : entries) {
        const std::string content(entry.size, 'x');
        util::MemorySource source(content);
        if (entry.type == EntryType::file && entry.size > 0) {
            writer.add_file(entry, source);
        } else {
            writer.add(entry);
        }
    }
    writer.finish();
    return out.text();
}

std::vector<Entry> read_back(const std::string& tar) {
    util::MemorySource source(tar);
    ArchiveReader reader(source, AbsoluteNames::refuse);
    std::vector<Entry> out;
    while (const Entry* entry = reader.next()) out.push_back(*entry);
    return out;
}

Entry with_everything() {
    Entry entry = file("opt/\xff-binary-" + std::string(150, 'n'), 5);
    entry.mode = 04755;
    entry.uid = 3'000'000;
    entry.gid = 4'294'967'294U;
    entry.mtime = -1;
    entry.xattrs = {{"user.b", "2"}, {"security.capability", std::string("\1\0\0\2", 4) + std::string(16, '\0')}};
    return entry;
}

}  // namespace

// These digests are the identity of images. A change that moves one changes every image that anybody has built.
TEST_CASE("the bytes of a tar are what they have always been") {
    Entry link{.path = "bin/sh2", .type = EntryType::hardlink, .mode = 0755, .link_target = "bin/sh"};
    Entry device{.path = "dev/null", .type = EntryType::char_device, .mode = 0666, .dev_major = 1, .dev_minor = 3};
    Entry fifo{.path = "fifo", .type = EntryType::fifo, .mode = 0600, .mtime = 8'589'934'592};
    const std::string long_parent(90, 'p');
    const std::vector<std::pair<std::vector<Entry>, std::string>> goldens{
        {std::vector<Entry>(), "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"},
        {{directory("bin"), file("bin/sh", 1000), link, soft_link("sh", "bin/sh"), device, fifo},
         "9dbc612f31db665ad6558836fd73b8a60c58b3fe74640bc166b329210f55fd94"},
        {{whiteout("a/gone"), opaque(directory("b", 0700)), opaque(implied("c"))},
         "8dc06ed26ed3eaf152bb814540366273d391071fedd974164789a51dca8d1831"},
        {{file(long_parent + "/" + std::string(100, 'n')), file(std::string(101, 'n')),
          directory(long_parent + "/123456789"), soft_link("l", std::string(101, 't'))},
         "70ef7dc451f93648af9477417b9ae0cb6ae53cfacd73cb446118f79588565076"},
        {{with_everything()}, "1ad3e6c3c5052ca860181ce884cb8bbd9464dd7cea83f377201f7ef20c14b53c"},
    };
    for (const auto& [entries, digest] : goldens) CHECK(util::Sha256::of(tar_of(entries)).hex() == digest);
}

TEST_CASE("a tar says everything that an entry has") {
    const std::vector<Entry> entries{directory("opt", 01777), with_everything(), soft_link("z", std::string(200, 't'))};
    CHECK(read_back(tar_of(entries)) == entries);
}

TEST_CASE("what ustar can say needs no extended header") {
    Entry entry = file("a", 3);
    entry.uid = 2'097'151;
    entry.mtime = 8'589'934'591;
    CHECK(tar_of({entry}).size() == 512 + 512 + 1024);
    entry.uid = 2'097'152;
    CHECK(tar_of({entry}).size() == 1024 + 512 + 512 + 1024);
}

TEST_CASE("the character set is said only for names that need it") {
    CHECK_FALSE(tar_of({file("\xff")}).contains("hdrcharset"));
    CHECK_FALSE(tar_of({file(std::string(101, 'n'))}).contains("hdrcharset"));
    CHECK(tar_of({file("\xff" + std::string(101, 'n'))}).contains("21 hdrcharset=BINARY\n"));
}

TEST_CASE("a size of eight gibibytes goes into an extended header") {
    TarString out;
    TarWriter writer(out);
    util::MemorySource nothing("");
    Entry entry = file("big", 8'589'934'592);
    // The contents are missing, which is noticed only after the header is out.
    CHECK_THROWS_AS(writer.add_file(entry, nothing), CorruptData);
    CHECK(out.text().contains("19 size=8589934592\n"));
}

TEST_CASE("contents that are longer or shorter than their entry says stop the tar") {
    TarString out;
    TarWriter writer(out);
    util::MemorySource text("abc");
    CHECK_THROWS_AS(writer.add_file(file("f", 2), text), CorruptData);
    util::MemorySource again("abc");
    CHECK_THROWS_AS(writer.add_file(file("f", 4), again), CorruptData);
}

TEST_CASE("an attribute whose name has an equals sign is refused, since pax would end the name there") {
    Entry entry = file("f");
    entry.xattrs["user.a=b"] = "c";
    CHECK_THROWS_WITH(tar_of({entry}), Catch::Contains("user.a=b"));
}

TEST_CASE("an implicit directory is not written, its opaque mark is") {
    CHECK(read_back(tar_of({implied("d")})).empty());
    const auto marks = read_back(tar_of({opaque(implied("d"))}));
    REQUIRE(marks.size() == 1);
    CHECK(marks[0].path == "d/.wh..wh..opq");
}
