// A context with a memory is the same context: whatever is done to the files between two builds, nothing is taken for
// what it was before.
#include "builder/context/directory_memory.hpp"

#include "builder/context/checksums.hpp"
#include "builder/context/local_tree.hpp"
#include "builder/ops/keys.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::builder;
namespace fs = std::filesystem;

namespace {

struct MemoryFixture {
    test::Directory directory;
    test::Directory place;
    std::shared_ptr<layers::Store> store = layers::Store::open(place.at("store"));

    // A build that looks at everything; its checksum.
    Digest look() const {
        test::Recorder recorder;
        const LocalTree tree(util::RootedDir::open(directory.path()), {}, "", {}, store.get());
        const Selection selection = select_files(tree, {.from = 0, .sources = {"."}, .destination = "/"}, 2);
        const Work work{.stop = {}, .progress = recorder};
        return selection_checksum(selection, content_checksums(tree, files_of(selection), *store, 2, work));
    }
    // With nothing remembered: every file is read.
    Digest look_anew() const {
        const LocalTree tree(util::RootedDir::open(directory.path()), {}, "");
        const Selection selection = select_files(tree, {.from = 0, .sources = {"."}, .destination = "/"});
        std::vector<Digest> contents;
        for (const SourceFileInfo* file : files_of(selection)) {
            contents.push_back(util::Sha256::of(util::read_file(directory.at(file->entry.path), 1U << 20)));
        }
        return selection_checksum(selection, contents);
    }
    // Names of the files that nobody needs to read again.
    std::vector<std::string> known(const std::string& below = "") const {
        const LocalTree tree(util::RootedDir::open(directory.path()), {}, "", {}, store.get());
        std::vector<std::string> out;
        for (const SourceFileInfo& file : tree.children(below)) {
            if (file.content) out.push_back(file.entry.path);
        }
        return out;
    }
    // Until a change shows in a time stamp (layers/fingerprint.cpp). No event tells of that.
    static void let_time_pass() { std::this_thread::sleep_for(std::chrono::milliseconds(25)); }

    void set_attribute(const std::string& name) const {
        util::check(::setxattr(directory.at(name).c_str(), "user.test", "value", 5, 0), "mark", name);
    }
    // As touch -r does.
    void restore_time(const std::string& name, const struct stat& before) const {
        const timespec times[] = {before.st_atim, before.st_mtim};
        util::check(::utimensat(AT_FDCWD, directory.at(name).c_str(), times, 0), "set the time of", name);
    }
    struct stat stat(const std::string& name) const {
        struct stat out {};
        util::check(::stat(directory.at(name).c_str(), &out), "look at", name);
        return out;
    }
    // In place: the inode stays.
    void overwrite(const std::string& name, const std::string& text) const {
        util::write_all(util::open_path(directory.at(name), O_WRONLY | O_TRUNC).get(), text, name);
    }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(MemoryFixture, "what a build read is known to the next one, in every directory") {
    directory.write("a", "one");
    directory.write("sub/b", "two");
    let_time_pass();
    const Digest first = look();
    CHECK(known() == Names{"a"});
    CHECK(known("sub") == Names{"sub/b"});
    CHECK(look() == first);
    CHECK(look_anew() == first);
}

TEST_CASE_METHOD(MemoryFixture, "only what changed is unknown, and learnt beside the rest") {
    directory.write("a", "one");
    directory.write("b", "two");
    directory.write("c", "three");
    let_time_pass();
    look();
    overwrite("b", "new");
    fs::remove(directory.at("c"));
    CHECK(known() == Names{"a"});
    let_time_pass();
    look();
    CHECK(known() == Names{"a", "b"});
    CHECK(look() == look_anew());
}

TEST_CASE_METHOD(MemoryFixture, "a file of which the time was set back after a change is unknown") {
    directory.write("a", "one");
    let_time_pass();
    look();
    const struct stat before = stat("a");
    overwrite("a", "two");
    restore_time("a", before);
    CHECK(stat("a").st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    CHECK(known().empty());
    CHECK(look() == look_anew());
}

TEST_CASE_METHOD(MemoryFixture, "a file that another one was renamed to is unknown") {
    directory.write("a", "one");
    directory.write("b", "two");
    restore_time("b", stat("a"));
    let_time_pass();
    look();
    fs::rename(directory.at("b"), directory.at("a"));
    CHECK(known().empty());
    CHECK(look() == look_anew());
}

TEST_CASE_METHOD(MemoryFixture, "another directory of the same name has other files") {
    directory.write("sub/a", "one");
    directory.write("other/a", "two");
    let_time_pass();
    look();
    fs::rename(directory.at("sub"), directory.at("away"));
    fs::rename(directory.at("other"), directory.at("sub"));
    CHECK(look() == look_anew());
}

TEST_CASE_METHOD(MemoryFixture, "a file that has attributes is looked at each time, also when it got them later") {
    directory.write("a", "one");
    directory.write("b", "two");
    set_attribute("a");
    let_time_pass();
    const Digest before = look();
    CHECK(known() == Names{"b"});
    set_attribute("b");
    CHECK(known().empty());
    CHECK(look() != before);
    CHECK(look() == look_anew());
}

TEST_CASE_METHOD(MemoryFixture, "a file whose time is not over yet is not remembered") {
    directory.write("a", "one");
    directory.write("b", "two");
    directory.set_time("b", 4'000'000'000);
    let_time_pass();
    look();
    CHECK(known() == Names{"a"});
}

TEST_CASE_METHOD(MemoryFixture, "a file that may still change unseen is not remembered") {
    directory.write("a", "0");
    for (int round = 1; round < 100; ++round) {
        overwrite("a", std::to_string(round % 10));
        REQUIRE(look() == look_anew());
    }
}

TEST_CASE_METHOD(MemoryFixture, "two instructions that read parts of a directory leave both parts known") {
    directory.write("a", "one");
    directory.write("b", "two");
    let_time_pass();
    const LocalTree tree(util::RootedDir::open(directory.path()), {}, "", {}, store.get());
    const std::vector<SourceFileInfo> first = tree.children("");
    const std::vector<SourceFileInfo> second = tree.children("");
    tree.learn({&first[0]}, {util::Sha256::of("one")});
    tree.learn({&second[1]}, {util::Sha256::of("two")});
    CHECK(known() == Names{"a", "b"});
}

namespace {

// One change of any kind, as users and their tools make them. Many make no sense, and fail as they do there.
class RandomEdits {
public:
    RandomEdits(const MemoryFixture& fixture, std::uint64_t seed) : fixture_(fixture), random_(seed) {}

    void edit() {
        const std::string a = file();
        const std::string b = file();
        std::error_code ignored;
        switch (below(9)) {
            case 0:
                fixture_.directory.write(a, text());
                break;
            case 1:
                if (fs::is_regular_file(fixture_.directory.at(a))) fixture_.overwrite(a, text());
                break;
            case 2:
                overwrite_and_hide(a);
                break;
            case 3:
                fs::rename(fixture_.directory.at(a), fixture_.directory.at(b), ignored);
                break;
            case 4:
                fs::remove(fixture_.directory.at(a), ignored);
                break;
            case 5:
                fs::create_hard_link(fixture_.directory.at(a), fixture_.directory.at(b), ignored);
                break;
            case 6:
                if (fs::exists(fixture_.directory.at(a))) fixture_.set_attribute(a);
                break;
            case 7:
                fs::rename(fixture_.directory.at(folder()), fixture_.directory.at(folder()), ignored);
                break;
            default:
                if (fs::exists(fixture_.directory.at(a)))
                    util::check(::chmod(fixture_.directory.at(a).c_str(), 0600 + static_cast<mode_t>(below(64))),
                                "set the mode of", a);
                break;
        }
    }
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

private:
    // Few names and texts of one size, so that they meet.
    std::string folder() { return std::string(1, static_cast<char>('p' + below(3))); }
    std::string file() { return (below(3) == 0 ? "" : folder() + "/") + static_cast<char>('a' + below(5)); }
    std::string text() { return std::to_string(10 + below(90)); }

    void overwrite_and_hide(const std::string& name) {
        if (!fs::is_regular_file(fixture_.directory.at(name))) return;
        const struct stat before = fixture_.stat(name);
        fixture_.overwrite(name, text());
        fixture_.restore_time(name, before);
    }

    const MemoryFixture& fixture_;
    std::mt19937_64 random_;
};

}  // namespace

TEST_CASE_METHOD(MemoryFixture, "after random edits a context with a memory is the same as without") {
    const std::uint64_t seed = std::random_device()();
    INFO("seed " << seed);
    RandomEdits edits(*this, seed);
    std::size_t recalled = 0;
    for (int round = 0; round < 150; ++round) {
        for (std::uint64_t n = edits.below(4); n > 0; --n) edits.edit();
        if (edits.below(4) == 0) let_time_pass();
        for (const char* folder : {"", "p", "q", "r"}) {
            if (fs::is_directory(directory.at(folder))) recalled += known(folder).size();
        }
        REQUIRE(look() == look_anew());
    }
    CHECK(recalled > 0);
}
