#include "builder/context/read_ahead.hpp"

#include "builder/context/local_tree.hpp"
#include "builder/ops/selection.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <sys/stat.h>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

/// Our own test data as a context: its files are old enough to be remembered.
struct Reader {
    test::Directory place;
    std::shared_ptr<layers::Store> store = layers::Store::open(place.at("store"));
    std::shared_ptr<const SourceTree> tree =
        std::make_shared<LocalTree>(util::RootedDir::open("testdata"), parser::IgnoreMatcher(), "");

    static CopyFiles of(const std::string& source) {
        CopyFiles copy;
        copy.sources = {source};
        return copy;
    }
    std::unique_ptr<ReadAhead> begin(const std::vector<std::string>& sources, ReadAhead::Depth depth) const {
        std::vector<CopyFiles> reads;
        for (const std::string& source : sources) reads.push_back(of(source));
        return std::make_unique<ReadAhead>(tree, std::move(reads), *store, 2, depth);
    }
    void read(const std::string& source) const { begin({source}, ReadAhead::Depth::contents)->wait(); }
    std::optional<Digest> remembered(const std::string& path) const {
        struct stat status {};
        REQUIRE(::stat(("testdata/" + path).c_str(), &status) == 0);
        const auto nanoseconds = [](const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; };
        return store
            ->find_checksums({{.device = status.st_dev,
                               .inode = status.st_ino,
                               .size = static_cast<std::uint64_t>(status.st_size),
                               .mtime = nanoseconds(status.st_mtim),
                               .ctime = nanoseconds(status.st_ctim)}})
            .at(0);
    }
};

const std::string kFile = "doctor/plain-user.txt";

}  // namespace

TEST_CASE_METHOD(Reader, "files that were read ahead have a checksum that is remembered, and others have none") {
    read("doctor");
    CHECK(remembered(kFile) == util::Sha256::of(util::read_file("testdata/" + kFile, 1U << 20)));
    CHECK_FALSE(remembered("sandbox/plain.json"));
}

TEST_CASE_METHOD(Reader, "with names alone nothing is read") {
    begin({"doctor"}, ReadAhead::Depth::names)->wait();
    CHECK_FALSE(remembered(kFile));
}

TEST_CASE_METHOD(Reader, "what cannot be read ahead is left to who needs it") {
    read("no such file");
    CHECK_FALSE(remembered(kFile));
}

TEST_CASE_METHOD(Reader, "what was looked at ahead is given out once, and is what it would be without") {
    const auto depth = GENERATE(ReadAhead::Depth::names, ReadAhead::Depth::contents);
    const auto ahead = begin({"doctor", "no such file", "sandbox"}, depth);
    CHECK_FALSE(ahead->selected_ahead(of("no such file")));
    CHECK_FALSE(ahead->selected_ahead(of("policy")));
    CopyFiles without = of("sandbox");
    without.excludes = {"*.json"};
    CHECK_FALSE(ahead->selected_ahead(without));
    const auto selection = ahead->selected_ahead(of("sandbox"));
    REQUIRE(selection);
    const Selection expected = select_files(*tree, of("sandbox"));
    REQUIRE(selection->roots.size() == 1);
    REQUIRE(selection->roots.front().below.size() == expected.roots.front().below.size());
    for (std::size_t i = 0; i < expected.roots.front().below.size(); ++i) {
        CHECK(selection->roots.front().below[i].entry == expected.roots.front().below[i].entry);
    }
    CHECK_FALSE(ahead->selected_ahead(of("sandbox")));
    CHECK(select_files(*ahead, of("sandbox")).roots.front().below.size() == expected.roots.front().below.size());
}

TEST_CASE_METHOD(Reader, "contents are read until somebody else does") {
    const auto ahead = begin({"."}, ReadAhead::Depth::contents);
    ahead->stop_reading();
    ahead->wait();
    CHECK(ahead->selected_ahead(of(".")));
}
