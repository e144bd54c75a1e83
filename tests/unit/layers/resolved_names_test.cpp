#include "layers/resolved_names.hpp"

#include "oci/media_types.hpp"
#include "tests/support/catch.hpp"
#include "util/files.hpp"
#include "util/rooted_dir.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace imgbuild;
using namespace imgbuild::layers;

namespace {

constexpr const char* kPlatform = "linux/amd64";

struct Memory {
    util::TempDir store{"/tmp", "imgbuild-resolved-"};
    ResolvedNames names{store.path()};

    std::vector<std::string> files() const {
        const util::Fd directory = util::open_path(store.path() + "/resolved", O_RDONLY | O_DIRECTORY);
        std::vector<std::string> out;
        for (util::DirEntry& entry : util::list_directory(directory.get(), "resolved")) {
            out.push_back(store.path() + "/resolved/" + entry.name);
        }
        return out;
    }
};

ResolvedName sample(const std::string& manifest = "{\"a manifest\":\n1}") {
    return {.time = 17,
            .manifest = {.descriptor = oci::describe(oci::media_type::kManifest, manifest), .bytes = manifest},
            .config = "a config\n",
            .index = util::Sha256::of("an index")};
}

}  // namespace

TEST_CASE_METHOD(Memory, "what was remembered of a name is found for the same platform") {
    names.remember("a:1", kPlatform, sample());
    const ResolvedName found = names.find("a:1", kPlatform).value();
    CHECK(found.time == 17);
    CHECK(found.manifest.descriptor == sample().manifest.descriptor);
    CHECK(found.manifest.bytes == sample().manifest.bytes);
    CHECK(found.config == "a config\n");
    CHECK(found.index == util::Sha256::of("an index"));
    CHECK_FALSE(names.find("a:1", "linux/arm64"));
    CHECK_FALSE(names.find("a:2", kPlatform));
}

TEST_CASE_METHOD(Memory, "a name may stand for no index") {
    ResolvedName plain = sample();
    plain.index.reset();
    names.remember("a:1", kPlatform, plain);
    CHECK_FALSE(names.find("a:1", kPlatform)->index);
}

TEST_CASE_METHOD(Memory, "a later answer takes the place of the earlier one") {
    names.remember("a:1", kPlatform, sample("1"));
    names.remember("a:1", kPlatform, sample("2"));
    CHECK(names.find("a:1", kPlatform)->manifest.bytes == "2");
    CHECK(files().size() == 1);
}

TEST_CASE_METHOD(Memory, "a name is forgotten for all platforms, and no other is") {
    names.forget("a:1");
    names.remember("a:1", kPlatform, sample());
    names.remember("a:1", "linux/arm64", sample());
    names.remember("b:1", kPlatform, sample());
    names.forget("a:1");
    CHECK_FALSE(names.find("a:1", kPlatform));
    CHECK_FALSE(names.find("a:1", "linux/arm64"));
    CHECK(names.find("b:1", kPlatform));
}

TEST_CASE_METHOD(Memory, "an entry with any byte changed or lost was never made") {
    names.remember("a:1", kPlatform, sample());
    const std::string path = files().at(0);
    const std::string whole = util::read_file(path, 1U << 20);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        std::string bad = whole;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        util::AtomicFile file(path);
        file.write(i % 2 == 0 ? bad : whole.substr(0, i));
        file.commit();
        CHECK_FALSE(names.find("a:1", kPlatform));
    }
}

TEST_CASE_METHOD(Memory, "only the newest entries are kept") {
    names.remember("a:0", kPlatform, sample());
    const timespec long_ago[2] = {{1000, 0}, {1000, 0}};
    REQUIRE(::utimensat(AT_FDCWD, files().at(0).c_str(), long_ago, 0) == 0);
    for (std::size_t i = 1; i < ResolvedNames::kMost; ++i) {
        names.remember(fmt::format("a:{}", i), kPlatform, sample());
    }
    CHECK(names.find("a:0", kPlatform));
    names.remember("one more", kPlatform, sample());
    CHECK(files().size() == ResolvedNames::kMost);
    CHECK_FALSE(names.find("a:0", kPlatform));
    CHECK(names.find("one more", kPlatform));
}

TEST_CASE_METHOD(Memory, "what does not fit into lines is not remembered") {
    ResolvedName odd = sample();
    odd.manifest.descriptor.media_type = "a\nb";
    names.remember("a:1", kPlatform, odd);
    CHECK_FALSE(names.find("a:1", kPlatform));
}
