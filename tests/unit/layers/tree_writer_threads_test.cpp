// Copies that several threads make: the tree, the names and the errors are those of one thread.
#include "layers/tree_writer.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <atomic>
#include <functional>
#include <random>
#include <set>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

constexpr int kSources = 11;

std::string source_name(int i) {
    return fmt::format("s{}", i);
}

/// Files of 0 B, 1 B and so on up to more than what is copied in one piece.
class Sources {
public:
    Sources() {
        for (int i = 0; i < kSources; ++i) {
            const util::Fd fd = tree_.root().open_file(source_name(i), O_WRONLY | O_CREAT, Follow::no, 0600);
            util::write_all(fd.get(), std::string(size(i), static_cast<char>('a' + i)), "a source");
        }
    }
    static std::size_t size(int i) { return i == 0 ? 0 : std::size_t{1} << (2 * i - 2); }
    void lend(int i, const std::function<void(const Extent&)>& copy) const {
        const util::Fd fd = tree_.root().open_file(source_name(i), O_RDONLY);
        copy(Extent{.fd = fd.get()});
    }
    LendFile lender(int i) const {
        return [this, i](const auto& copy) { lend(i, copy); };
    }

private:
    Tree tree_;
};

using Step = std::function<void(TreeWriter&)>;

// Names are few, so that they meet. Parents are directories, but for odd seeds: there it may end with an error.
class RandomSteps {
public:
    RandomSteps(std::uint64_t seed, const Sources& sources)
        : random_(seed), sources_(sources), may_fail_(seed % 2 == 1) {}

    std::vector<Step> make(int count) {
        std::vector<Step> out;
        for (int i = 0; i < count; ++i) out.push_back(next());
        return out;
    }

private:
    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

    std::string any_directory() {
        auto at = directories_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(below(directories_.size())));
        return *at;
    }

    Entry entry(EntryType type) {
        Entry out{.path = join_path(any_directory(), fmt::format("n{}", below(30))), .type = type};
        if (may_fail_ && below(500) == 0) out.path = join_path(out.path, "x");  // which may lie in a file
        const bool group_passes = type == EntryType::directory && below(8) == 0;
        out.mode = type == EntryType::directory ? 0700U : 0600U + static_cast<std::uint32_t>(below(0200));
        if (group_passes) out.mode |= 02000U;
        out.mtime = static_cast<std::int64_t>(below(1'000'000));
        if (below(10) == 0) out.uid = out.gid = static_cast<std::uint32_t>(below(2) == 0 ? 4'000'000'000U : 7U);
        if (below(20) == 0) out.xattrs["trusted.note"] = "held";
        std::erase_if(directories_,
                      [&](const std::string& path) { return path == out.path || is_inside(path, out.path); });
        if (type == EntryType::directory) directories_.insert(out.path);
        if (last_file_ == out.path || is_inside(last_file_, out.path)) last_file_ = kNowhere;
        return out;
    }

    Step next() {
        const std::uint64_t kind = below(100);
        if (kind < 70) return copy();
        if (kind < 80) return add(entry(EntryType::directory));
        if (kind < 84) return add(entry(EntryType::whiteout));
        if (kind < 88) return add(entry(EntryType::char_device));
        if (kind < 89) return [path = any_directory()](TreeWriter& writer) { writer.mark_opaque(path); };
        Entry made = entry(kind < 92 ? EntryType::symlink : EntryType::hardlink);
        made.link_target = last_file_;
        if (kind < 92) made.mode = 0777;
        return add(std::move(made));
    }

    static Step add(Entry made) {
        return [made = std::move(made)](TreeWriter& writer) { writer.add(made); };
    }

    Step copy() {
        const int from = static_cast<int>(below(kSources));
        Entry made = entry(EntryType::file);
        made.size = Sources::size(from);
        if (below(3) == 0) last_file_ = made.path;
        return
            [this, from, made = std::move(made)](TreeWriter& writer) { writer.add_copy(made, sources_.lender(from)); };
    }

    std::mt19937_64 random_;
    const Sources& sources_;
    bool may_fail_;
    std::set<std::string> directories_ = {""};
    static constexpr const char* kNowhere = "nowhere";
    std::string last_file_ = kNowhere;
};

// Everything that the disk has of a tree but inode numbers.
void list(const Tree& tree, const std::string& path, std::string& out) {
    const util::Fd directory = tree.root().open_file(path, O_RDONLY | O_DIRECTORY, Follow::no);
    for (const util::DirEntry& found : util::list_directory(directory.get(), path)) {
        const std::string inside = join_path(path, found.name);
        const auto status = tree.root().stat(inside, Follow::no);
        out +=
            fmt::format("{} {:o} {}:{} {}", inside, status->st_mode, status->st_uid, status->st_gid, status->st_nlink);
        // Whiteouts have the time of the day.
        if (!S_ISCHR(status->st_mode)) out += fmt::format(" {}", status->st_mtim.tv_sec);
        for (const auto& [name, value] : util::read_xattrs_at(directory.get(), found.name, inside)) {
            out += fmt::format(" {}={}", name, value);
        }
        if (S_ISREG(status->st_mode)) out += fmt::format(" {}", util::Sha256::of(tree.read(inside)).text());
        if (S_ISLNK(status->st_mode)) out += fmt::format(" {}", tree.root().read_link(inside));
        out += '\n';
        if (S_ISDIR(status->st_mode)) list(tree, inside, out);
    }
}

/// Of a tree: what lies on the disk and the names; or of what went wrong.
std::string outcome(const std::vector<Step>& steps, unsigned threads) {
    const Tree tree;
    try {
        TreeWriter writer(tree.root(), {.links_describe = true, .threads = threads});
        for (const Step& step : steps) step(writer);
        std::string out = writer.finish().serialize();
        list(tree, "", out);
        return out;
    } catch (const Error& error) {
        return error.what();
    }
}

Step copy_of(int i, LendFile lend) {
    return [i, lend = std::move(lend)](TreeWriter& writer) {
        writer.add_copy(file(fmt::format("d{}/f{}", i / 10, i), Sources::size(3)), lend);
    };
}

}  // namespace

TEST_CASE("a tree does not depend on the number of threads") {
    const Sources sources;
    std::random_device device;
    const std::uint64_t first = device();
    CAPTURE(first);
    int whole = 0;
    for (std::uint64_t seed = first; seed < first + 12; ++seed) {
        CAPTURE(seed);
        RandomSteps random(seed, sources);
        const std::vector<Step> steps = random.make(400);
        const std::string expected = outcome(steps, 1);
        if (expected.size() > 1000) ++whole;
        CHECK(outcome(steps, 2) == expected);
        CHECK(outcome(steps, 8) == expected);
    }
    CHECK(whole >= 6);
}

TEST_CASE("of several failures the earliest entry's is told, whoever meets it") {
    const unsigned threads = GENERATE(1U, 2U, 8U);
    CAPTURE(threads);
    const Sources sources;
    std::vector<Step> steps;
    for (int i = 0; i < 600; ++i) steps.push_back(copy_of(i, sources.lender(3)));
    SECTION("a source that is not what it should be") {
        for (const int i : {300, 301, 590}) {
            steps.at(static_cast<std::size_t>(i)) = copy_of(i, [&sources, i](const auto& copy) {
                sources.lend(3, copy);
                throw IoError("look at", fmt::format("source {}", i), EIO);
            });
        }
        steps[500] = [](TreeWriter& writer) { writer.add(file("d0/f0/x")); };
        CHECK_THAT(outcome(steps, threads), Catch::Contains("source 300"));
    }
    SECTION("an entry that cannot be, after a source that cannot be opened") {
        steps[297] = copy_of(297, [](const auto&) { throw IoError("open", "gone", ENOENT); });
        steps[298] = [](TreeWriter& writer) { writer.add(file("d0/f0/x")); };
        CHECK_THAT(outcome(steps, threads), Catch::Contains("'gone'"));
    }
    SECTION("an entry that cannot be, before a source of another size") {
        steps[299] = [](TreeWriter& writer) { writer.add(file("d0/f0/x")); };
        steps[300] = copy_of(300, sources.lender(4));
        CHECK_THAT(outcome(steps, threads), Catch::Contains("something lies in 'd0/f0'"));
    }
}

TEST_CASE("a source of another size has changed") {
    const unsigned threads = GENERATE(1U, 2U);
    const auto [from, size] =
        GENERATE(table<int, std::uint64_t>({{0, 1}, {1, 0}, {3, 15}, {3, 17}, {9, 65535}, {9, 65537}}));
    CAPTURE(threads, from, size);
    const Sources sources;
    const Tree tree;
    TreeWriter writer(tree.root(), {.threads = threads});
    const auto copy = [&, i = from, size = size] {
        writer.add_copy(file("f", size), sources.lender(i));
        writer.finish();
    };
    CHECK_THROWS_AS(copy(), CorruptData);
}

TEST_CASE("what stops the copies surfaces, and no more are begun") {
    const unsigned threads = GENERATE(1U, 2U, 8U);
    CAPTURE(threads);
    const Sources sources;
    const Tree tree;
    std::atomic<int> opened = 0;
    TreeWriter writer(tree.root(), {.threads = threads});
    const auto copy_all = [&] {
        for (int i = 0; i < 20'000; ++i) {
            copy_of(i, [&](const auto& copy) {
                if (++opened > 100) throw Cancelled();
                sources.lend(3, copy);
            })(writer);
        }
        writer.finish();
    };
    CHECK_THROWS_AS(copy_all(), Cancelled);
    CHECK(opened < 200);
}

TEST_CASE("a writer that is destroyed leaves no copy under way") {
    const unsigned threads = GENERATE(2U, 8U);
    CAPTURE(threads);
    const Sources sources;
    const Tree tree;
    std::atomic<int> under_way = 0;
    {
        TreeWriter writer(tree.root(), {.threads = threads});
        for (int i = 0; i < 1000; ++i) {
            copy_of(i, [&](const auto& copy) {
                ++under_way;
                sources.lend(3, copy);
                --under_way;
            })(writer);
        }
    }
    CHECK(under_way == 0);
}

TEST_CASE("a hard link to a copy under way has its file") {
    const Sources sources;
    const Tree tree;
    TreeWriter writer(tree.root(), {.threads = 2});
    for (int i = 0; i < 200; ++i) {
        copy_of(i, sources.lender(3))(writer);
        writer.add({.path = fmt::format("links/l{}", i),
                    .type = EntryType::hardlink,
                    .link_target = fmt::format("d{}/f{}", i / 10, i)});
    }
    writer.wait();
    CHECK(tree.read("links/l199") == std::string(Sources::size(3), 'd'));
    const NameIndex names = writer.finish();
    CHECK(names.find("links/l0")->link_target == "d0/f0");
    CHECK(tree.root().stat("d0/f0", Follow::no)->st_nlink == 2);
}
