#include "tests/unit/layers/random_steps.hpp"

#include <imgbuild/error.hpp>

#include "layers/patch.hpp"
#include "layers/stat_entry.hpp"
#include "layers/tree_marks.hpp"
#include "layers/tree_writer.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <thread>

namespace imgbuild::layers::test {
namespace {

// Names from a small set, so that layers meet.
std::string random_path(std::mt19937_64& random) {
    std::string out;
    const std::uint64_t depth = 1 + random() % 3;
    for (std::uint64_t i = 0; i < depth; ++i)
        out = join_path(out, std::string(1, static_cast<char>('a' + random() % 4)));
    return out;
}

std::string random_capability(std::mt19937_64& random) {
    return std::string("\1\0\0\2", 4) + static_cast<char>(random() % 8) + std::string(15, '\0');
}

// ---------------------------------------------------------------- layers

std::string random_records(std::mt19937_64& random, char type) {
    std::string out;
    if (random() % 5 == 0) out += pax_record("SCHILY.xattr.user.note", fmt::format("{}", random() % 10));
    if (type == '0' && random() % 6 == 0)
        out += pax_record("SCHILY.xattr.security.capability", random_capability(random));
    return out.empty() ? out : raw_pax(out);
}

// `files`: what a hard link may mean.
std::string random_entry(std::mt19937_64& random, std::vector<std::string>& files) {
    RawHeader header{
        .name = random_path(random), .mode = random() & 0777U, .uid = random() % 3, .mtime = random() % 1000};
    const std::string base(base_name(header.name));
    const std::string parent(parent_path(header.name));
    switch (random() % 12) {
        case 0:
        case 1:
        case 2:
            header.type = '5';
            break;
        case 3:
            header.name = join_path(parent, ".wh." + base);
            return raw_entry(header);
        case 4:
            header.name = join_path(header.name, ".wh..wh..opq");
            return raw_entry(header);
        case 5:
            header.type = '2';
            header.link = "target";
            return raw_entry(header);
        case 6:
            header.type = '6';
            return raw_entry(header);
        case 7:
            header.type = '3';
            header.dev_major = 1;
            header.dev_minor = 1 + random() % 8;
            break;
        case 8:
            if (files.empty()) break;
            header.type = '1';
            header.link = files[random() % files.size()];
            return raw_entry(header);
        default:
            header.content = fmt::format("{}", random());
            files.push_back(header.name);
    }
    return random_records(random, header.type) + raw_entry(header);
}

// A layer of random changes that do not contradict themselves (a file with something in it is tried again).
NameIndex unpack_random(std::mt19937_64& random, std::unique_ptr<Tree>& tree) {
    for (;;) {
        tree = std::make_unique<Tree>();
        std::string tar;
        std::vector<std::string> files;
        const std::uint64_t count = 1 + random() % 12;
        for (std::uint64_t i = 0; i < count; ++i) tar += random_entry(random, files);
        tar += raw_tar({});
        util::MemorySource source(tar);
        try {
            NameIndex names = unpack_layer(source, tree->root()).names;
            const auto entries = names.entries();
            // A link whose file was replaced later means one of a layer below; not every stack has it.
            if (std::none_of(entries.begin(), entries.end(), [](const Entry& entry) { return entry.external; }))
                return names;
        } catch (const CorruptData&) {
            continue;
        }
    }
}

// ---------------------------------------------------------------- changes

// Failures are part of the game.
void ignore(int) {}

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void write_file(const std::string& path, int flags, std::string_view text, off_t offset) {
    if (exists(path)) {
        struct stat status {};
        // A link would lead out of the tree, and a pipe has no end.
        if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    }
    const util::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0640));
    if (!fd) return;
    if (offset > 0) util::check(::ftruncate(fd.get(), offset + 5000), "lengthen", path);
    util::check(::pwrite(fd.get(), text.data(), text.size(), offset) < 0 ? -1 : 0, "write", path);
}

// As mv does it where a directory cannot be renamed, which an overlay refuses and a plain file system does not.
void move_path(const std::string& from, const std::string& to) {
    if (!is_directory(from)) return ignore(::rename(from.c_str(), to.c_str()));
    struct stat status {};
    if (exists(to) || (to + "/").starts_with(from + "/") || ::lstat(from.c_str(), &status) != 0) return;
    if (::mkdir(to.c_str(), 0700) != 0) return;
    const util::Fd fd = util::open_path(from, O_RDONLY | O_DIRECTORY);
    for (const util::DirEntry& child : util::list_directory(fd.get(), from))
        move_path(from + "/" + child.name, to + "/" + child.name);
    util::check(::chown(to.c_str(), status.st_uid, status.st_gid), "chown", to);
    util::check(::chmod(to.c_str(), status.st_mode & 07777U), "chmod", to);
    util::check(::rmdir(from.c_str()), "remove", from);
}

void set_times(std::mt19937_64& random, const std::string& path) {
    const timespec time{.tv_sec = static_cast<time_t>(random() % (2 * kStepTime)), .tv_nsec = 5};
    const std::array<timespec, 2> times{time, time};
    ignore(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
}

void set_attribute(std::mt19937_64& random, const std::string& path) {
    const std::string value = random() % 4 == 0 ? std::string(1000, 'v') : std::to_string(random() % 100);
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) return;
    if (random() % 3 == 0 && S_ISREG(status.st_mode)) {
        const std::string capability = random_capability(random);
        ignore(::lsetxattr(path.c_str(), "security.capability", capability.data(), capability.size(), 0));
    } else if (::lgetxattr(path.c_str(), "user.note", nullptr, 0) >= 0 && random() % 2 == 0) {
        ignore(::lremovexattr(path.c_str(), "user.note"));
    } else {
        ignore(::lsetxattr(path.c_str(), "user.note", value.data(), value.size(), 0));
    }
}

// ---------------------------------------------------------------- listings

std::string line_of(const Entry& entry, const std::string& content) {
    const bool link = entry.type == EntryType::symlink;
    std::string out =
        fmt::format("{} {:o} {}:{} {} {}:{} {} {}", static_cast<int>(entry.type), link ? 0777 : entry.mode, entry.uid,
                    entry.gid, std::min(entry.mtime, kStepTime), entry.dev_major, entry.dev_minor, entry.link_target,
                    util::Sha256::of(content).brief());
    for (const auto& [name, value] : entry.xattrs) out += fmt::format(" {}={}", name, util::Sha256::of(value).brief());
    return out;
}

void list_below(const util::RootedDir& root, const std::string& directory, Listing& out) {
    const util::Fd fd = root.open_file(directory, O_RDONLY | O_DIRECTORY, util::Follow::no);
    for (const util::DirEntry& child : util::list_directory(fd.get(), directory)) {
        const std::string path = join_path(directory, child.name);
        const auto status = root.stat(path, util::Follow::no);
        if (!status) {  // a whiteout that the kernel lists
            out[path] = "not there";
            continue;
        }
        if (S_ISSOCK(status->st_mode)) continue;
        Entry entry = stat_entry(path, *status);
        const util::Fd node = root.open_file(path, O_PATH, util::Follow::no);
        for (const auto& [name, value] : util::read_xattrs(node.get(), path)) {
            if (name == kDeviceMark) apply_device_mark(value, entry);
            if (const auto real = true_name(name)) entry.xattrs.emplace(*real, value);
        }
        normalise_capabilities(entry.xattrs);
        if (entry.type == EntryType::symlink) entry.link_target = root.read_link(path);
        const bool regular = entry.type == EntryType::file;
        out[path] = line_of(entry, regular ? root.read_file(path, 64U << 20).value_or("(none)") : "");
        if (entry.type == EntryType::directory) list_below(root, path, out);
    }
}

void list_view(const ChainView& view, const std::vector<const Tree*>& trees, std::string_view path, Listing& out) {
    for (const Found& child : view.children(path)) {
        const Found file = view.inode(child);
        std::string content;
        if (file.entry->type == EntryType::file) content = trees[file.layer]->read(view.tree_path(file));
        out[child.entry->path] = line_of(*file.entry, content);
        if (file.entry->type == EntryType::directory) list_view(view, trees, child.entry->path, out);
    }
}

}  // namespace

void in_mount_namespace(const std::function<void()>& body) {
    if (::geteuid() != 0) {
        WARN("skipped: mounting an overlay needs root here");
        return;
    }
    std::exception_ptr failure;
    std::thread thread([&] {
        try {
            util::check(::unshare(CLONE_NEWNS | CLONE_FS), "unshare", "");
            util::check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private", "/");
            body();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    thread.join();
    if (failure) std::rethrow_exception(failure);
}

Overlay::Overlay(const std::vector<const Tree*>& trees, const Tree* upper) {
    std::string options = "userxattr,lowerdir=";
    for (auto it = trees.rbegin(); it != trees.rend(); ++it)
        options += (it == trees.rbegin() ? "" : ":") + (*it)->path();
    if (trees.size() == 1 && upper == nullptr) options += ":" + empty_.path();
    if (upper != nullptr) options += ",upperdir=" + upper->path() + ",workdir=" + work_.path();
    util::check(::mount("overlay", point_.path().c_str(), "overlay", 0, options.c_str()), "mount", options);
}

Overlay::~Overlay() {
    ::umount2(point_.path().c_str(), MNT_DETACH);
}

void Chain::add(std::unique_ptr<Tree> tree, NameIndex names) {
    trees.push_back(tree.get());
    owned.push_back(std::move(tree));
    layers.push_back(std::make_shared<const NameIndex>(std::move(names)));
}

std::vector<util::RootedDir> Chain::roots() const {
    std::vector<util::RootedDir> out;
    for (const Tree* tree : trees) out.push_back(tree->root().duplicate());
    return out;
}

Chain random_chain(std::mt19937_64& random) {
    Chain chain;
    const std::uint64_t count = 1 + random() % 4;
    for (std::uint64_t i = 0; i < count; ++i) {
        std::unique_ptr<Tree> tree;
        NameIndex names = unpack_random(random, tree);
        chain.add(std::move(tree), std::move(names));
    }
    return chain;
}

std::unique_ptr<Tree> make_patch(const ChainView& view, const Chain& chain) {
    auto out = std::make_unique<Tree>();
    TreeWriter writer(out->root());
    write_patch(plan_patch(view), chain.roots(), writer);
    writer.finish();
    return out;
}

void change_something(std::mt19937_64& random, const std::string& root) {
    const std::string path = root + "/" + random_path(random);
    const std::string other = root + "/" + random_path(random);
    const std::string text = fmt::format("{}", random());
    switch (random() % 18) {
        case 0:
        case 1:
            if (exists(path)) util::remove_all(path);
            break;
        case 2:
            return ignore(::mkdir(path.c_str(), 0755));
        case 3:  // an opaque directory, if there was one
            if (is_directory(path)) util::remove_all(path);
            ignore(::mkdir(path.c_str(), 0711));
            return write_file(path + "/new", O_TRUNC, text, 0);
        case 4:
        case 5:
            return move_path(path, other);
        case 6:
            if (::access(path.c_str(), F_OK) == 0)
                ignore(::chmod(path.c_str(), static_cast<mode_t>(random() & 07777U)));
            break;
        case 7:
            return ignore(::link(path.c_str(), other.c_str()));
        case 8:
            return ignore(::symlink("target", path.c_str()));
        case 9:
            return ignore(::lchown(path.c_str(), static_cast<uid_t>(random() % 3), 7));
        case 10:
            return set_times(random, path);
        case 11:
            return set_attribute(random, path);
        case 12:
            return ignore(::mkfifo(path.c_str(), 0620));
        case 13:  // which no layer can hold; what lay there before is gone all the same
            if (exists(path) && !is_directory(path)) util::remove_all(path);
            return ignore(::mknod(path.c_str(), S_IFSOCK | 0600, 0));
        case 14:
            return ignore(::mknod(path.c_str(), S_IFBLK | 0600, ::makedev(7, static_cast<unsigned>(random() % 9))));
        case 15:  // a hole, and something behind it
            return write_file(path, 0, text, 1'000'000);
        default:
            return write_file(path, O_TRUNC, text, 0);
    }
}

Listing list_directory_tree(const std::string& path) {
    Listing out;
    list_below(util::RootedDir::open(path), "", out);
    return out;
}

Listing list_view(const ChainView& view, const std::vector<const Tree*>& trees) {
    Listing out;
    list_view(view, trees, "", out);
    return out;
}

std::string differences(const Listing& a, const Listing& b) {
    std::string out;
    for (const auto& [path, line] : a) {
        const auto other = b.find(path);
        if (other == b.end()) {
            out += path + ": only first\n";
        } else if (other->second != line) {
            out += path + ": " + line + " | " + other->second + "\n";
        }
    }
    for (const auto& [path, line] : b) {
        if (!a.contains(path)) out += path + ": only second\n";
    }
    return out;
}

}  // namespace imgbuild::layers::test
