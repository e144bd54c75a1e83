// The same layers from root and from a plain user with subordinate ids: what the user's namespace cannot make is noted
// on the inodes, and survives steps. Needs root to write the maps of such a namespace; skipped otherwise.
#include <imgbuild/error.hpp>

#include "layers/diff.hpp"
#include "layers/pack.hpp"
#include "layers/tree_marks.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "util/defer.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <functional>
#include <string>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

constexpr std::int64_t kTime = 1'000'000'000;
constexpr std::uint64_t kForeign = 1'000'000;
constexpr const char* kSubordinate = "0 1000 1\n1 100000 65536\n";
constexpr const char* kIdentity = "0 0 4294967295\n";

void write_map(pid_t pid, const char* name, const std::string& map) {
    const std::string path = fmt::format("/proc/{}/{}", pid, name);
    const util::Fd fd = util::open_path(path, O_WRONLY);
    util::write_all(fd.get(), map, path);
}

void enter_user_namespace(int ready, int go) {
    util::check(::unshare(CLONE_NEWUSER), "unshare", "the user namespace");
    util::write_all(ready, "r", "pipe");
    char byte = 0;
    util::check(::read(go, &byte, 1) == 1 ? 0 : -1, "wait for", "the map");
    util::check(::setresgid(0, 0, 0), "set", "group");
    util::check(::setresuid(0, 0, 0), "set", "user");
    util::check(::setgroups(0, nullptr), "set", "groups");
    // Else what is in /proc about this process and its children would belong to root of the machine.
    util::check(::prctl(PR_SET_DUMPABLE, 1), "make", "dumpable");
}

// Runs `body` in a process of its own, in a user namespace with `map` if there is one, and hands back what it returns
// or what went wrong.
std::string in_process(const std::string& map, const std::function<std::string()>& body) {
    util::Pipe result = util::make_pipe();
    util::Pipe ready = util::make_pipe();
    util::Pipe go = util::make_pipe();
    const pid_t pid = ::fork();
    util::check(pid, "fork", "a worker");
    if (pid == 0) {
        go.write.reset();
        std::string out;
        try {
            if (!map.empty()) enter_user_namespace(ready.write.get(), go.read.get());
            out = body();
        } catch (const std::exception& error) {
            out = fmt::format("failed: {}", error.what());
        }
        util::write_all(result.write.get(), out, "pipe");
        ::_exit(0);
    }
    ready.write.reset();
    result.write.reset();
    const util::Defer end([&] {
        go.write.reset();
        ::waitpid(pid, nullptr, 0);
    });
    char byte = 0;
    if (!map.empty() && ::read(ready.read.get(), &byte, 1) == 1) {
        write_map(pid, "uid_map", map);
        write_map(pid, "gid_map", map);
        util::write_all(go.write.get(), "g", "pipe");
    }
    return util::read_all(result.read.get(), 1U << 20, "pipe");
}

// Says why, if not.
bool can_map_ids() {
    if (::geteuid() != 0) {
        WARN("skipped: mapping ids needs root here");
        return false;
    }
#ifdef __SANITIZE_THREAD__
    WARN("skipped: the thread sanitizer keeps a thread in every process, and one with threads makes no user namespace");
    return false;
#else
    return true;
#endif
}

enum class Rung { root, plain_user };

std::string on(Rung rung, const std::function<std::string()>& body) {
    return in_process(rung == Rung::root ? "" : kSubordinate, body);
}

// What a step does: in a user namespace below the worker's, on an overlay of its own.
void run_step(Rung rung, const Tree& lower, const Tree& upper, const std::function<void()>& commands) {
    const std::string map = rung == Rung::root ? kIdentity : "0 0 1\n1 1 65536\n";
    const Tree work;
    const Tree point;
    const std::string said = in_process(map, [&]() -> std::string {
        util::check(::unshare(CLONE_NEWNS), "unshare", "mounts");
        const std::string options =
            fmt::format("userxattr,lowerdir={},upperdir={},workdir={}", lower.path(), upper.path(), work.path());
        util::check(::mount("overlay", point.path().c_str(), "overlay", 0, options.c_str()), "mount", options);
        util::check(::chdir(point.path().c_str()), "enter", point.path());
        commands();
        return "";
    });
    if (!said.empty()) throw IoError("run a step", said, EINVAL);
}

std::string diff_id_of(const NameIndex& names, const Tree& tree) {
    return pack(names, tree.root(), {.kind = Codec::Kind::none}, nullptr, 1).diff_id.text();
}

void must(int result, const char* what) {
    util::check(result, "do", what);
}

NameIndex unpacked(const std::string& tar, const Tree& tree) {
    util::MemorySource blob(tar);
    return unpack_layer(blob, tree.root()).names;
}

std::string one_entry(RawHeader header, const std::string& records = "") {
    return (records.empty() ? "" : raw_pax(records)) + raw_entry(header);
}

std::string capability(char revision) {
    return std::string("\1\0\0", 3) + revision + std::string("\0\4\0\0", 4) + std::string(12, '\0');
}

std::string base_tar() {
    std::string out;
    const auto add = [&](const RawHeader& header, const std::string& records = "") {
        out += one_entry(header, records);
    };
    add({.name = "null", .type = '3', .mode = 0666, .uid = 3, .mtime = 5, .dev_major = 1, .dev_minor = 3});
    add({.name = "disk", .type = '4', .mode = 0640, .gid = 6, .mtime = 5, .dev_major = 8, .dev_minor = 17},
        pax_record("SCHILY.xattr.user.note", "n"));
    add({.name = "zero", .type = '3', .mode = 0600, .mtime = 5});
    add({.name = "foreign", .content = "abc", .mode = 04755, .uid = kForeign, .gid = 7, .mtime = 6});
    add({.name = "strange", .content = "abc", .mode = 02640, .uid = 7, .gid = kForeign, .mtime = 6},
        pax_record("SCHILY.xattr.trusted.overlay.opaque", "y") + pax_record("SCHILY.xattr.security.own", "s") +
            pax_record("SCHILY.xattr.security.capability", capability('\2')));
    add({.name = "home", .type = '5', .mode = 0700, .uid = kForeign, .gid = kForeign, .mtime = 7},
        pax_record("SCHILY.xattr.user.overlay.opaque", "y") +
            pax_record("SCHILY.xattr.user.imgbuild.owner", "0 0 0 0"));
    add({.name = "home/f", .mode = 0600, .uid = kForeign, .gid = kForeign, .mtime = 7},
        pax_record("SCHILY.xattr.user.imgbuild.device", "c 1 1") +
            pax_record("SCHILY.xattr.user.overlay.metacopy", ""));
    add({.name = "pipe", .type = '6', .mode = 0622, .uid = kForeign, .gid = 1, .mtime = 8},
        pax_record("SCHILY.xattr.security.own", "s"));
    add({.name = "link", .type = '2', .link = "nowhere", .mode = 0777, .uid = 1, .gid = kForeign, .mtime = 8});
    add({.name = "nobody-at-all", .mode = 0644, .mtime = 9}, pax_record("uid", "4294967295"));
    add({.name = "beyond", .type = '2', .link = "all", .mode = 0777, .mtime = 9}, pax_record("gid", "3000000000"));
    return out + std::string(1024, '\0');
}

}  // namespace

TEST_CASE("a plain user and root pack the same bytes from the same foreign layer") {
    if (!can_map_ids()) return;
    const auto body = [] {
        const Tree tree;
        const NameIndex names = unpacked(base_tar(), tree);
        return diff_id_of(names, tree);
    };
    const std::string root = on(Rung::root, body);
    CHECK_THAT(root, Catch::StartsWith("sha256:"));
    CHECK(on(Rung::plain_user, body) == root);
}

TEST_CASE("what a plain user's tree cannot hold is noted on its inodes") {
    if (!can_map_ids()) return;
    const std::string said = on(Rung::plain_user, []() -> std::string {
        const Tree tree;
        const NameIndex names = unpacked(base_tar(), tree);
        std::string out;
        for (const char* name : {"null", "foreign", "strange", "home", "pipe", "nobody-at-all"}) {
            const auto status = tree.root().stat(name, Follow::no);
            out += fmt::format("{} {:o} {}:{} {}", name, status->st_mode, status->st_uid, status->st_gid,
                               names.find(name)->overridden ? "overridden" : "as it is");
            const util::Fd fd = tree.root().open_file(name, O_PATH, Follow::no);
            for (const auto& [key, value] : util::read_xattrs(fd.get(), name)) {
                out += key.starts_with("user.imgbuild.") ? fmt::format(" {}={}", key, value) : " " + key;
            }
            out += '\n';
        }
        return out;
    });
    CHECK(said ==
          "null 100666 3:0 overridden user.imgbuild.device=c 1 3\n"
          "foreign 104755 65534:7 overridden user.imgbuild.owner=1000000 7 65534 7\n"
          "strange 102640 7:65534 overridden security.capability user.imgbuild.held.security.own=s"
          " user.imgbuild.held.trusted.overlay.opaque=y user.imgbuild.owner=7 1000000 7 65534\n"
          "home 40700 65534:65534 overridden user.imgbuild.held.user.imgbuild.owner=0 0 0 0"
          " user.imgbuild.owner=1000000 1000000 65534 65534 user.overlay.overlay.opaque\n"
          "pipe 10622 65534:1 overridden\n"
          "nobody-at-all 100644 65534:0 overridden user.imgbuild.owner=4294967295 0 65534 0\n");
}

TEST_CASE("a set-user-ID file whose owner cannot be stood in for loses the bit in the tree, not in the layer") {
    if (!can_map_ids()) return;
    const std::string said = in_process("0 1000 1\n", []() -> std::string {
        const Tree tree;
        const NameIndex names = unpacked(base_tar(), tree);
        return fmt::format("{:o} {:o}", tree.root().stat("foreign", Follow::no)->st_mode, names.find("foreign")->mode);
    });
    CHECK(said == "100755 4755");
}

// The step touches everything in the ways that make overlayfs copy it up.
TEST_CASE("devices, owners and attributes of a base survive a step, and root and a plain user get the same layer") {
    if (!can_map_ids()) return;
    const auto on_rung = [](Rung rung, std::string& listing) {
        const std::string out = on(rung, [&]() -> std::string {
            const Tree lower;
            const auto below = std::make_shared<const NameIndex>(unpacked(base_tar(), lower));
            const ChainView view({below});
            const Tree upper;
            dress_upper(upper.root(), view);
            run_step(rung, lower, upper, [] {
                must(::chmod("null", 0600), "chmod null");
                must(::rename("disk", "moved"), "mv disk");
                must(::link("zero", "again"), "ln zero");
                must(::chmod("foreign", 0700), "chmod foreign");
                must(::rename("strange", "stranger"), "mv strange");
                must(::chown("home", 5, static_cast<gid_t>(-1)), "chown home");
                must(::setxattr("home", "user.new", "1", 1, 0), "setfattr home");
                must(::chown("home/f", 5, 5), "chown home/f");
                must(::chmod("pipe", 0600), "chmod pipe");
                const std::array<timespec, 2> times{timespec{.tv_sec = 11, .tv_nsec = 0},
                                                    timespec{.tv_sec = 11, .tv_nsec = 0}};
                must(::utimensat(AT_FDCWD, "link", times.data(), AT_SYMLINK_NOFOLLOW), "touch link");
                must(::utimensat(AT_FDCWD, "beyond", times.data(), AT_SYMLINK_NOFOLLOW), "touch beyond");
                must(::chmod("nobody-at-all", 0600), "chmod nobody-at-all");
                const util::Fd fd = util::open_path("null", O_WRONLY);
                util::write_all(fd.get(), "into the device", "null");
            });
            const ScanResult result =
                scan_upper(upper.root(), {.layer_time = kTime, .below = &view, .given_away = {}, .stop = {}});
            std::string lines;
            for (const Entry& entry : result.names.entries()) {
                lines += fmt::format("{} {} {:o} {}:{} {}:{}", entry.path, static_cast<int>(entry.type), entry.mode,
                                     entry.uid, entry.gid, entry.dev_major, entry.dev_minor);
                for (const auto& [key, value] : entry.xattrs) lines += " " + key;
                lines += '\n';
            }
            const std::string first = diff_id_of(result.names, upper);
            // A layer's tree says the same when it is looked at again.
            const ScanResult again =
                scan_upper(upper.root(), {.layer_time = kTime, .below = &view, .given_away = {}, .stop = {}});
            if (diff_id_of(again.names, upper) != first) return "failed: another layer at the second look";
            if (upper.root().stat("null", Follow::no)->st_size != 0) return "failed: what was written is still there";
            return first + "\n" + lines;
        });
        listing = out.substr(out.find('\n') + 1);
        return out.substr(0, out.find('\n'));
    };
    std::string as_root;
    std::string as_user;
    const std::string root = on_rung(Rung::root, as_root);
    const std::string user = on_rung(Rung::plain_user, as_user);
    CHECK_THAT(root, Catch::StartsWith("sha256:"));
    CHECK(as_user == as_root);
    CHECK(user == root);
    CHECK(as_root ==
          " 1 755 0:0 0:0\n"
          "again 5 600 0:0 0:0\n"
          "beyond 2 777 0:3000000000 0:0\n"
          "disk 7 0 0:0 0:0\n"
          "foreign 0 700 1000000:7 0:0\n"
          "home 1 700 5:1000000 0:0 user.imgbuild.owner user.new user.overlay.opaque\n"
          "home/f 0 600 5:5 0:0 user.imgbuild.device user.overlay.metacopy\n"
          "link 2 777 1:1000000 0:0\n"
          "moved 6 640 0:6 8:17 user.note\n"
          "nobody-at-all 0 600 4294967295:0 0:0\n"
          "null 5 600 3:0 1:3\n"
          "pipe 4 600 1000000:1 0:0\n"
          "strange 7 0 0:0 0:0\n"
          "stranger 0 2640 7:1000000 0:0 security.capability security.own trusted.overlay.opaque\n"
          "zero 3 600 0:0 0:0\n");
}

TEST_CASE("device nodes that a step could make become files with a note") {
    if (::geteuid() != 0) return;
    const Tree upper;
    REQUIRE(::mkdir((upper.path() + "/d").c_str(), 0755) == 0);
    const std::string node = upper.path() + "/d/node";
    REQUIRE(::mknod(node.c_str(), S_IFCHR | 0600, ::makedev(1, 5)) == 0);
    REQUIRE(::link(node.c_str(), (upper.path() + "/other").c_str()) == 0);
    const ScanResult result =
        scan_upper(upper.root(), {.layer_time = kTime, .below = nullptr, .given_away = {}, .stop = {}});
    CHECK(result.names.find("d/node")->type == EntryType::char_device);
    CHECK(result.names.find("d/node")->dev_minor == 5);
    CHECK(result.names.find("other")->link_target == "d/node");
    CHECK(S_ISREG(upper.root().stat("d/node", Follow::no)->st_mode));
    CHECK(upper.root().stat("other", Follow::no)->st_nlink == 2);
    CHECK(upper.root().stat("d", Follow::no)->st_mtim.tv_sec == kTime);
    CHECK(scan_upper(upper.root(), {.layer_time = kTime, .below = nullptr, .given_away = {}, .stop = {}}).names ==
          result.names);
}
