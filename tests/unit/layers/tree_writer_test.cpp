#include "layers/tree_writer.hpp"

#include <imgbuild/error.hpp>

#include "layers/tree_marks.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

void add_text(TreeWriter& writer, Entry entry, std::string_view text) {
    entry.size = text.size();
    util::MemorySource source(text);
    writer.add_file(std::move(entry), source);
}

}  // namespace

TEST_CASE("a tree gets modes whatever the umask, and times of whole seconds") {
    const mode_t before = ::umask(0077);
    Tree tree;
    TreeWriter writer(tree.root());
    Entry entry = file("d/f");
    entry.mode = 04755;
    entry.mtime = 12345;
    add_text(writer, entry, "abc");
    Entry dir = directory("d", 01777);
    dir.mtime = 777;
    writer.add(dir);
    writer.finish();
    ::umask(before);
    const auto file_status = tree.root().stat("d/f", Follow::no);
    CHECK((file_status->st_mode & 07777U) == 04755);
    CHECK(file_status->st_mtim.tv_sec == 12345);
    CHECK(file_status->st_mtim.tv_nsec == 0);
    const auto status = tree.root().stat("d", Follow::no);
    CHECK((status->st_mode & 07777U) == 01777);
    CHECK(status->st_mtim.tv_sec == 777);
    CHECK(tree.read("d/f") == "abc");
}

TEST_CASE("a directory with the set-group-id bit gives nobody its group") {
    if (::geteuid() != 0) return;  // who has one group cannot tell
    Tree tree;
    TreeWriter writer(tree.root());
    Entry mail = directory("mail", 02775);
    mail.gid = 8;
    writer.add(mail);
    writer.add(directory("mail/d"));
    add_text(writer, file("mail/f"), "abc");
    writer.add(soft_link("mail/l", "f"));
    writer.finish();
    for (const char* path : {"mail/d", "mail/f", "mail/l"}) {
        INFO(path);
        const auto status = tree.root().stat(path, Follow::no);
        CHECK(status->st_gid == 0);
        CHECK((status->st_mode & 02000U) == 0);
    }
    CHECK(tree.root().stat("mail", Follow::no)->st_gid == 8);
}

TEST_CASE("a later entry of the same path replaces the earlier, whatever both are") {
    Tree tree;
    TreeWriter writer(tree.root());
    add_text(writer, file("x"), "one");
    writer.add(soft_link("x", "y"));
    add_text(writer, file("x"), "two");
    writer.add(directory("d"));
    add_text(writer, file("d/in"), "in");
    add_text(writer, file("d"), "now a file");
    const NameIndex names = writer.finish();
    CHECK(tree.read("x") == "two");
    CHECK(tree.read("d") == "now a file");
    CHECK(names.find("d/in") == nullptr);
    CHECK(names.find("d")->type == EntryType::file);
}

TEST_CASE("a directory that replaces something of its layer shows nothing from below") {
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add(whiteout("d"));
    writer.add(directory("d"));
    const NameIndex names = writer.finish();
    CHECK(names.find("d")->opaque);
    CHECK(tree.root().stat("d", Follow::no).has_value());
    CHECK(util::read_xattrs(tree.root().open_file("d", O_RDONLY).get(), "d").at("user.overlay.opaque") == "y");
}

TEST_CASE("parents that nobody described are implicit, and described ones are not") {
    Tree tree;
    TreeWriter writer(tree.root(), {.implicit_mtime = 99});
    writer.add(file("a/b/c"));
    writer.add(directory("a", 0700));
    const NameIndex names = writer.finish();
    CHECK_FALSE(names.find("a")->implicit);
    CHECK(names.find("a/b")->implicit);
    CHECK(names.find("")->implicit);
    CHECK(names.find("a/b")->mode == 0755);
    CHECK(tree.root().stat("a/b", Follow::no)->st_mtim.tv_sec == 99);
}

TEST_CASE("the first name of a file in path order is the file, whichever came first") {
    Tree tree;
    TreeWriter writer(tree.root());
    add_text(writer, file("z"), "abc");
    writer.add({.path = "a", .type = EntryType::hardlink, .link_target = "z"});
    writer.add({.path = "m", .type = EntryType::hardlink, .link_target = "a"});
    const NameIndex names = writer.finish();
    CHECK(names.find("a")->type == EntryType::file);
    CHECK(names.find("m")->link_target == "a");
    CHECK(names.find("z")->type == EntryType::hardlink);
    CHECK(names.find("z")->size == 3);
    CHECK(tree.root().stat("a", Follow::no)->st_nlink == 3);
}

TEST_CASE("a replaced file leaves its other names with the old contents") {
    Tree tree;
    TreeWriter writer(tree.root());
    add_text(writer, file("a"), "old");
    writer.add({.path = "b", .type = EntryType::hardlink, .link_target = "a"});
    add_text(writer, file("a"), "newer");
    const NameIndex names = writer.finish();
    CHECK(names.find("b")->type == EntryType::file);
    CHECK(names.find("b")->size == 3);
    CHECK(tree.read("b") == "old");
    CHECK(tree.read("a") == "newer");
}

TEST_CASE("where links describe their files, the last one says what all names are like") {
    Tree tree;
    TreeWriter writer(tree.root(), {.links_describe = true});
    Entry entry = file("z");
    entry.mode = 0640;
    entry.uid = 7;
    entry.gid = 8;
    add_text(writer, entry, "one");
    writer.add({.path = "a", .type = EntryType::hardlink, .mode = 0600, .uid = 9, .link_target = "z"});
    writer.add({.path = "m", .type = EntryType::hardlink, .mode = 04755, .mtime = 55, .link_target = "a"});
    const NameIndex names = writer.finish();
    for (const char* name : {"a", "m", "z"}) {
        INFO(name);
        CHECK(names.find(name)->mode == 04755);
        CHECK(names.find(name)->uid == 0);
        CHECK(names.find(name)->gid == 0);
        CHECK(names.find(name)->mtime == 55);
    }
    CHECK(names.find("a")->type == EntryType::file);
    const auto status = tree.root().stat("a", Follow::no);
    CHECK(status->st_nlink == 3);
    CHECK((status->st_mode & 07777U) == 04755);
    CHECK(status->st_uid == 0);
    CHECK(status->st_mtim.tv_sec == 55);
}

TEST_CASE("a hard link to a file that the layer does not have is external") {
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add({.path = "a", .type = EntryType::hardlink, .link_target = "lower/file"});
    writer.add({.path = "b", .type = EntryType::hardlink, .link_target = "a"});
    const NameIndex names = writer.finish();
    CHECK(names.find("a")->external);
    CHECK(names.find("b")->external);
    CHECK(names.find("b")->link_target == "lower/file");
    CHECK_FALSE(tree.root().stat("a", Follow::no).has_value());
}

TEST_CASE("links of the layer are followed inside the root") {
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add(directory("usr/lib"));
    writer.add(soft_link("lib", "/usr/lib"));
    writer.add(soft_link("up", "../../../../usr"));
    add_text(writer, file("lib/a"), "a");
    add_text(writer, file("up/lib/b"), "b");
    const NameIndex names = writer.finish();
    CHECK(names.find("usr/lib/a") != nullptr);
    CHECK(names.find("usr/lib/b") != nullptr);
    CHECK(names.find("lib")->type == EntryType::symlink);
    CHECK(tree.read("usr/lib/b") == "b");
}

TEST_CASE("a link out of the tree leads nowhere outside") {
    Tree outside;
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add(soft_link("out", outside.path()));
    add_text(writer, file("out/f"), "x");
    writer.finish();
    CHECK_FALSE(outside.root().stat("f", Follow::no).has_value());
    CHECK(tree.read(outside.path() + "/f") == "x");
}

TEST_CASE("a loop of links is refused") {
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add(soft_link("a", "b"));
    writer.add(soft_link("b", "a"));
    CHECK_THROWS_AS(writer.add(file("a/x")), CorruptData);
}

TEST_CASE("nothing lies in a file, and no hard link leads to a directory") {
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add(file("f"));
    CHECK_THROWS_AS(writer.add(file("f/x")), CorruptData);
    writer.add(directory("d"));
    CHECK_THROWS_AS(writer.add({.path = "h", .type = EntryType::hardlink, .link_target = "d"}), CorruptData);
}

TEST_CASE("attributes keep their names in the index and are escaped in the tree") {
    Tree tree;
    TreeWriter writer(tree.root());
    Entry entry = file("f");
    entry.xattrs = {{"user.overlay.opaque", "y"}, {"user.plain", "v"}};
    writer.add(entry);
    const NameIndex names = writer.finish();
    CHECK(names.find("f")->xattrs == entry.xattrs);
    const auto stored = util::read_xattrs(tree.root().open_file("f", O_RDONLY).get(), "f");
    CHECK(stored == util::Xattrs{{"user.overlay.overlay.opaque", "y"}, {"user.plain", "v"}});
}

TEST_CASE("what the inode cannot take is flagged and kept in the index") {
    Tree tree;
    TreeWriter writer(tree.root());
    Entry link = soft_link("l", "x");
    link.xattrs = {{"user.on-a-link", "1"}};
    writer.add(link);
    Entry zero{.path = "zero", .type = EntryType::char_device, .mode = 0600};
    writer.add(zero);
    const NameIndex names = writer.finish();
    CHECK(names.find("l")->overridden);
    CHECK(names.find("l")->xattrs == link.xattrs);
    // A device 0:0 in the tree would be a whiteout.
    CHECK(names.find("zero")->overridden);
    CHECK(S_ISREG(tree.root().stat("zero", Follow::no)->st_mode));
}

TEST_CASE("a new description of a directory takes away the attributes of the old") {
    Tree tree;
    TreeWriter writer(tree.root());
    Entry first = opaque(directory("d"));
    first.xattrs = {{"user.old", "1"}};
    writer.add(first);
    Entry second = directory("d", 0700);
    second.xattrs = {{"user.new", "2"}};
    writer.add(second);
    const NameIndex names = writer.finish();
    CHECK(names.find("d")->opaque);
    CHECK(names.find("d")->xattrs == second.xattrs);
    CHECK(util::read_xattrs(tree.root().open_file("d", O_RDONLY).get(), "d") ==
          util::Xattrs{{"user.new", "2"}, {"user.overlay.opaque", "y"}});
}

TEST_CASE("long runs of zeros become holes") {
    Tree tree;
    TreeWriter writer(tree.root());
    std::string text(1U << 20, '\0');
    text += "end";
    add_text(writer, file("f"), text);
    std::string tail = "begin";
    tail.append(1U << 20, '\0');
    add_text(writer, file("g"), tail);
    writer.finish();
    CHECK(tree.read("f") == text);
    CHECK(tree.read("g") == tail);
    CHECK(tree.root().stat("f", Follow::no)->st_blocks * 512 < 200'000);
    CHECK(tree.root().stat("g", Follow::no)->st_blocks * 512 < 200'000);
}

TEST_CASE("a copy has the bytes of its file, holes included, and notices a change") {
    Tree source;
    {
        util::Fd fd = source.root().open_file("f", O_RDWR | O_CREAT, Follow::no, 0600);
        util::write_all(fd.get(), "begin", "f");
        REQUIRE(::pwrite(fd.get(), "end", 3, 1'000'000) == 3);
    }
    util::Fd fd = source.root().open_file("f", O_RDONLY);
    Tree tree;
    TreeWriter writer(tree.root());
    writer.add_copy(file("f", 1'000'003), {.fd = fd.get()});
    CHECK(tree.read("f") == source.read("f"));
    CHECK_THROWS_AS(writer.add_copy(file("g", 5), {.fd = fd.get()}), CorruptData);
}

TEST_CASE("users are kept in the index") {
    Tree tree;
    TreeWriter writer(tree.root());
    add_text(writer, file("etc/passwd"), "root:x:0:0\n");
    const NameIndex names = writer.finish();
    CHECK(names.passwd() == "root:x:0:0\n");
    CHECK_FALSE(names.group().has_value());
}

TEST_CASE("a directory's default ACL does not pass to what the layer has in it") {
    // Version 2: u::rwx u:1000:rwx g::r-x m::rwx o::r-x, as setfacl -d -m u:1000:rwx writes it.
    const std::string acl(
        "\2\0\0\0\1\0\7\0\377\377\377\377\2\0\7\0\350\3\0\0\4\0\5\0\377\377\377\377\20\0\7\0\377\377\377\377\40\0\5\0"
        "\377\377"
        "\377\377",
        44);
    Tree tree;
    TreeWriter writer(tree.root());
    Entry top = directory("d");
    top.xattrs["system.posix_acl_default"] = acl;
    writer.add(top);
    add_text(writer, file("d/f"), "text");
    writer.add(directory("d/sub"));
    const NameIndex names = writer.finish();
    const bool kept = !names.find("d")->overridden;
    if (!kept) return;  // a file system without ACLs
    CHECK(util::read_xattrs(tree.root().open_file("d", O_RDONLY, Follow::no).get(), "d")
              .contains("system.posix_acl_default"));
    for (const char* path : {"d/f", "d/sub"}) {
        CHECK(util::read_xattrs(tree.root().open_file(path, O_RDONLY, Follow::no).get(), path).empty());
    }
}
