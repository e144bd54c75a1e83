#include "layers/known_files.hpp"

#include "layers/prune.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/store_fixture.hpp"

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

constexpr std::uint64_t kDevice = 7;

FileFingerprint print(std::uint64_t inode) {
    return {.device = kDevice, .inode = inode, .size = 10 * inode, .mtime = -1, .ctime = 1'700'000'000'123'456'789};
}

std::string three_files() {
    KnownFilesWriter writer;
    writer.add("a", print(1), util::Sha256::of("1"));
    writer.add("b\xff c", print(2), util::Sha256::of("2"));
    writer.add("d", print(3), util::Sha256::of("3"));
    return writer.take();
}

}  // namespace

TEST_CASE("what is known of files is found in the order of their names") {
    KnownFiles known(kDevice, three_files());
    CHECK_FALSE(known.find("A", print(1)));
    CHECK(known.find("a", print(1)) == util::Sha256::of("1"));
    CHECK_FALSE(known.find("b", print(2)));
    CHECK(known.find("b\xff c", print(2)) == util::Sha256::of("2"));
    CHECK(known.find("d", print(3)) == util::Sha256::of("3"));
    CHECK_FALSE(known.find("e", print(3)));
}

TEST_CASE("names that nobody asks for are passed over") {
    KnownFiles known(kDevice, three_files());
    CHECK(known.find("d", print(3)) == util::Sha256::of("3"));
}

TEST_CASE("a file is known only while everything that stat says of it is the same") {
    const auto change = GENERATE(
        as<void (*)(FileFingerprint&)>(), [](FileFingerprint& file) { file.device += 1; },
        [](FileFingerprint& file) { file.inode += 1; }, [](FileFingerprint& file) { file.size += 1; },
        [](FileFingerprint& file) { file.mtime += 1; }, [](FileFingerprint& file) { file.ctime += 1; });
    FileFingerprint changed = print(1);
    change(changed);
    KnownFiles known(kDevice, three_files());
    CHECK_FALSE(known.find("a", changed));
}

TEST_CASE("of a record that was cut off nothing is known beyond the cut, and of another form nothing at all") {
    const std::string whole = three_files();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        KnownFiles known(kDevice, whole.substr(0, size));
        CHECK_FALSE(known.find("d", print(3)));
    }
    KnownFiles other(kDevice, '\x7f' + whole.substr(1));
    CHECK_FALSE(other.find("a", print(1)));
}

TEST_CASE_METHOD(StoreFixture, "a store remembers what it was last told of a directory") {
    CHECK(store->find_directory(kDevice, ~0ULL).empty());
    store->remember_directories({{kDevice, ~0ULL, three_files()}, {kDevice, 2, "first"}});
    store->remember_directories({{kDevice, 2, "second"}});
    const auto again = Store::open(root);
    CHECK(again->find_directory(kDevice, ~0ULL) == three_files());
    CHECK(again->find_directory(kDevice, 2) == "second");
    CHECK(again->find_directory(kDevice + 1, 2).empty());
}

TEST_CASE_METHOD(StoreFixture, "what is known of directories goes with everything, and not before") {
    store->remember_directories({{kDevice, 2, three_files()}});
    prune(root, PruneRules::unused());
    CHECK_FALSE(store->find_directory(kDevice, 2).empty());
    prune(root, PruneRules::everything());
    CHECK(store->find_directory(kDevice, 2).empty());
}
