// What a copied root says about a step's changes, against what an overlay says about the same changes.
#include "layers/copied_root.hpp"

#include <imgbuild/error.hpp>

#include "layers/diff.hpp"
#include "layers/pack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/random_steps.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <functional>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

constexpr std::int64_t kTime = 1'000'000'000;

/// A directory with some of everything, as a layer.
class Base {
public:
    Base() {
        TreeWriter writer(tree_.root());
        writer.add(directory("etc"));
        add_file(writer, "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        add_file(writer, "etc/old", "old\n");
        writer.add(directory("many"));
        for (const char* name : {"a", "b", "c"}) add_file(writer, std::string("many/") + name, name);
        writer.add(directory("many/deep", 0700));
        add_file(writer, "many/deep/file", "deep\n");
        add_file(writer, "first", "linked\n");
        Entry link = file("second");
        link.type = EntryType::hardlink;
        link.link_target = "first";
        writer.add(std::move(link));
        writer.add(soft_link("to-etc", "etc"));
        names_ = std::make_shared<const NameIndex>(writer.finish());
        view_ = ChainView({names_});
        trees_.push_back(tree_.root().duplicate());
    }

    const Tree& tree() const { return tree_; }
    const ChainView& view() const { return view_; }
    const std::vector<util::RootedDir>& trees() const { return trees_; }

private:
    static void add_file(TreeWriter& writer, const std::string& path, std::string_view text) {
        util::MemorySource content(text);
        Entry entry = file(path, text.size());
        entry.mtime = kTime - 1000;
        writer.add_file(std::move(entry), content);
    }

    Tree tree_;
    std::shared_ptr<const NameIndex> names_;
    ChainView view_;
    std::vector<util::RootedDir> trees_;
};

using Change = std::function<void(const std::string& root)>;

std::string tar_of(const NameIndex& names, const util::RootedDir& tree) {
    TarString out;
    write_layer_tar(names, tree, out);
    return out.text();
}

std::string layer_by_copy(const Base& base, const Change& change) {
    const Tree place;
    const std::string root = place.path() + "/root";
    const std::string upper = place.path() + "/upper";
    util::make_directories(root);
    util::make_directories(upper);
    const auto rooted = util::RootedDir::open(root);
    TreeWriter writer(rooted);
    write_merged(base.view(), base.trees(), writer, {});
    static_cast<void>(writer.finish());
    const CopiedRoot before = CopiedRoot::remember(rooted, {});
    change(root);
    const auto changes = util::RootedDir::open(upper);
    before.move_changes(rooted, changes, {});
    const ScanResult scan = scan_upper(changes, {.layer_time = kTime, .below = &base.view(), .stop = {}});
    return tar_of(scan.names, changes);
}

std::string layer_by_overlay(const Base& base, const Change& change) {
    const Tree point;
    const Tree place;
    const std::string upper = place.path() + "/upper";
    util::make_directories(upper);
    util::make_directories(place.path() + "/work");
    const std::string options =
        "userxattr,lowerdir=" + base.tree().path() + ",upperdir=" + upper + ",workdir=" + place.path() + "/work";
    util::check(::mount("overlay", point.path().c_str(), "overlay", 0, options.c_str()), "mount", options);
    change(point.path());
    util::check(::umount2(point.path().c_str(), 0), "unmount", point.path());
    const auto changes = util::RootedDir::open(upper);
    const ScanResult scan = scan_upper(changes, {.layer_time = kTime, .below = &base.view(), .stop = {}});
    return tar_of(scan.names, changes);
}

void shell(const std::string& root, const std::string& script) {
    REQUIRE(std::system(("cd " + root + " && " + script).c_str()) == 0);
}

}  // namespace

TEST_CASE("a copied root gives the same layer as an overlay for the same changes") {
    const auto script =
        GENERATE(as<std::string>{}, "true", "echo new > etc/new", "echo more >> etc/passwd", "chmod 600 etc/old",
                 "touch -d @500000000 etc/old", "chown 12:34 many", "rm etc/old", "rm etc/old && echo again > etc/old",
                 "rm -r many", "rm -r many && mkdir many && echo x > many/x", "rm -r many && echo file > many",
                 "rm etc/old && mkdir etc/old && echo x > etc/old/x", "echo x > many/deep/other && rm many/a",
                 "echo changed > first", "rm first", "ln many/a many/link", "cp -a many copied && rm -r many",
                 "mkdir -p new/deep && echo x > new/deep/file && ln new/deep/file new/second",
                 "ln -s nowhere dangling && mkfifo pipe && rm to-etc", "touch etc/gone && rm etc/gone", "chmod 700 .",
                 "mv many old && mkdir many && mv old/deep many/deep && rm many/deep/file", "mv etc/old etc/renamed",
                 "rm to-etc && mkdir to-etc && echo x > to-etc/x",
                 "echo x > 'odd name' && echo y > \"$(printf 'not\\377utf8')\"");
    INFO(script);
    const Base base;
    in_mount_namespace([&] {
        const Change change = [&](const std::string& root) { shell(root, script); };
        const std::string expected = layer_by_overlay(base, change);
        CHECK(layer_by_copy(base, change) == expected);
    });
}

TEST_CASE("a copied root gives the same layer as an overlay for changed attributes") {
    const auto name = GENERATE(as<std::string>{}, "etc/old", "etc", "many/deep", "new");
    const auto attribute = GENERATE(as<std::string>{}, "user.note", "user.overlay.opaque", "user.overlay.whiteout");
    INFO(attribute << " of " << name);
    const Base base;
    in_mount_namespace([&] {
        const Change change = [&](const std::string& root) {
            shell(root, "mkdir new");
            REQUIRE(::lsetxattr((root + "/" + name).c_str(), attribute.c_str(), "text", 4, 0) == 0);
        };
        const std::string expected = layer_by_overlay(base, change);
        CHECK(expected.find("SCHILY.xattr." + attribute + "=text") != std::string::npos);
        CHECK(layer_by_copy(base, change) == expected);
    });
}

TEST_CASE("a change right after the copy is seen, even of a file whose size and time stay") {
    const Base base;
    for (int round = 0; round < 20; ++round) {
        const std::string tar = layer_by_copy(base, [](const std::string& root) {
            const util::Fd fd = util::open_path(root + "/etc/old", O_WRONLY);
            REQUIRE(::pwrite(fd.get(), "OLD", 3, 0) == 3);
            const timespec time{.tv_sec = kTime - 1000, .tv_nsec = 0};
            const timespec times[] = {time, time};
            REQUIRE(::futimens(fd.get(), times) == 0);
        });
        REQUIRE(tar.find("OLD\n") != std::string::npos);
    }
}

TEST_CASE("a directory that took the place of another shows nothing of it") {
    const Base base;
    const std::string tar = layer_by_copy(
        base, [](const std::string& root) { shell(root, "rm -r many && mkdir many && echo x > many/new"); });
    CHECK(tar.find("many/.wh..wh..opq") != std::string::npos);
    CHECK(tar.find("many/new") != std::string::npos);
    CHECK(tar.find("many/a") == std::string::npos);
}

TEST_CASE("a layer that is copied is the same layer") {
    const Tree from;
    const Tree to;
    std::mt19937_64 random(fresh_seed());
    const NameIndex names = make_random_layer(random, from.root());
    const NameIndex copied = copy_layer(names, from.root(), to.root(), {});
    CHECK(tar_of(copied, to.root()) == tar_of(names, from.root()));
}
