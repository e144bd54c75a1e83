#include "builder/context/read_ahead.hpp"

#include "builder/context/local_tree.hpp"
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
    LocalTree tree{util::RootedDir::open("testdata"), parser::IgnoreMatcher(), ""};

    void read(const std::string& source, const std::stop_token& stop = {}) const {
        CopyFiles copy;
        copy.sources = {source};
        read_ahead(tree, {copy}, *store, 2, stop);
    }
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

TEST_CASE_METHOD(Reader, "reading ahead stops when it is asked to") {
    std::stop_source stop;
    stop.request_stop();
    read("doctor", stop.get_token());
    CHECK_FALSE(remembered(kFile));
}

TEST_CASE_METHOD(Reader, "what cannot be read ahead is left to who needs it") {
    read("no such file");
    CHECK_FALSE(remembered(kFile));
}
