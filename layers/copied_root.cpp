// A change of whatever kind sets a file's change time, which nobody can set back. So a file with the inode, birth and
// change time of before is the file of before; everything else the step has made or changed. A directory's change time
// moves with the names in it, just as an overlay copies a directory up for them; for a change inside a file below, the
// directory comes along without having changed, as it does in an overlay.
#include "layers/copied_root.hpp"

#include <imgbuild/error.hpp>

#include "layers/failure.hpp"
#include "layers/tree_inodes.hpp"
#include "layers/tree_marks.hpp"
#include "util/fd.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <thread>
#include <utility>

namespace imgbuild::layers {
namespace {

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t nanoseconds(const struct statx_timestamp& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The clock that file systems take their times from moves in ticks, so a change within the tick of the last one could
/// leave the same time behind.
void wait_for_next_tick(std::int64_t last_change) {
    timespec now{};
    do {
        ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (nanoseconds(now) > last_change) return;
        const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
        ::nanosleep(&millisecond, nullptr);
        // A clock that was set back must not hold us up.
    } while (last_change - nanoseconds(now) < 1'000'000'000);
}

Entry shown_entry(const ChainView& view, const Found& found) {
    Entry entry = *view.inode(found).entry;
    entry.path = found.entry->path;
    entry.opaque = false;
    entry.implicit = false;
    entry.external = false;
    return entry;
}

void add_shown(const ChainView& view, const Found& found, std::span<const util::RootedDir> trees, TreeWriter& writer) {
    Entry entry = shown_entry(view, found);
    if (entry.type != EntryType::file || entry.size == 0) return writer.add(std::move(entry));
    const Found inode = view.inode(found);
    const util::Fd fd = trees[inode.layer].open_file(view.tree_path(inode), O_RDONLY, util::Follow::no);
    writer.add_copy(std::move(entry), {.fd = fd.get()});
}

}  // namespace

void write_merged(const ChainView& view, std::span<const util::RootedDir> trees, TreeWriter& writer,
                  const std::stop_token& stop) {
    if (const auto root = view.find("")) {
        Entry entry = *root->entry;
        entry.path.clear();
        entry.opaque = false;
        entry.implicit = false;
        writer.add(std::move(entry));
    }
    std::vector<std::string> todo = {""};
    while (!todo.empty()) {
        const std::string directory = std::move(todo.back());
        todo.pop_back();
        for (const Found& found : view.children(directory)) {
            check_stop(stop);
            add_shown(view, found, trees, writer);
            if (found.entry->type == EntryType::directory) todo.push_back(found.entry->path);
        }
    }
}

NameIndex copy_layer(const NameIndex& names, const util::RootedDir& from, const util::RootedDir& to,
                     const std::stop_token& stop) {
    TreeWriter writer(to);
    for (const Entry& entry : names.entries()) {
        check_stop(stop);
        if (entry.implicit) continue;  // made on the way to what is in it
        if (entry.type != EntryType::file || entry.size == 0) {
            writer.add(entry);
            continue;
        }
        const util::Fd fd = from.open_file(entry.path, O_RDONLY, util::Follow::no);
        writer.add_copy(entry, {.fd = fd.get()});
    }
    return writer.finish();
}

bool CopiedRoot::Stamp::is_same_inode(const Stamp& other) const {
    return device == other.device && inode == other.inode && born == other.born &&
           (mode & S_IFMT) == (other.mode & S_IFMT);
}

/// Walks a tree and says what each name is like.
class CopiedRoot::Recorder {
public:
    static Stamp look(int directory, const std::string& name, const std::string& path) {
        struct statx status {};
        const unsigned wanted = STATX_BASIC_STATS | STATX_BTIME;
        util::check(::statx(directory, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, wanted, &status), "look at",
                    path);
        return {.device = ::makedev(status.stx_dev_major, status.stx_dev_minor),
                .inode = status.stx_ino,
                .born = (status.stx_mask & STATX_BTIME) != 0 ? nanoseconds(status.stx_btime) : 0,
                .changed = nanoseconds(status.stx_ctime),
                .mode = status.stx_mode,
                .size = status.stx_size};
    }

    static std::map<std::string, Stamp, PathLess> look_at_all(const util::RootedDir& root,
                                                              const std::stop_token& stop) {
        std::map<std::string, Stamp, PathLess> out;
        out.emplace("", look(root.fd(), "", ""));
        std::vector<std::string> todo = {""};
        while (!todo.empty()) {
            check_stop(stop);
            const std::string directory = std::move(todo.back());
            todo.pop_back();
            const util::Fd fd = root.open_file(directory, O_RDONLY | O_DIRECTORY, util::Follow::no);
            for (const util::DirEntry& child : util::list_directory(fd.get(), directory)) {
                std::string path = join_path(directory, child.name);
                const Stamp stamp = look(fd.get(), child.name, path);
                if (S_ISDIR(stamp.mode)) todo.push_back(path);
                out.emplace(std::move(path), stamp);
            }
        }
        return out;
    }
};

CopiedRoot CopiedRoot::remember(const util::RootedDir& root, const std::stop_token& stop) {
    CopiedRoot out;
    out.stamps_ = Recorder::look_at_all(root, stop);
    std::int64_t last = 0;
    for (const auto& [path, stamp] : out.stamps_) last = std::max(last, stamp.changed);
    wait_for_next_tick(last);
    return out;
}

class CopiedRoot::Mover {
public:
    using Stamps = std::map<std::string, Stamp, PathLess>;

    Mover(const Stamps& before, const util::RootedDir& root, const util::RootedDir& upper, const std::stop_token& stop)
        : before_(before), root_(root), upper_(upper), marks_(upper), stop_(stop) {}

    void move() {
        const Stamps now = Recorder::look_at_all(root_, stop_);
        remember_directory("");
        for (const auto& [path, stamp] : now) compare(path, stamp);
        // What was in a directory that is gone, or another one now, is hidden with it.
        for (const auto& [path, stamp] : before_) {
            if (now.contains(path) || !is_old_directory(parent_of(path), now) || is_in_moved(path)) continue;
            gone_.push_back(path);
            need_directory(parent_of(path));
        }
        for (const std::string& directory : directories_) make_directory(directory);
        for (const std::string& path : moved_) move_one(path);
        for (const std::string& path : gone_) marks_.make_node({.path = path, .type = EntryType::whiteout});
        for (const std::string& path : opaque_) marks_.set_opaque({.path = path, .type = EntryType::directory});
        // When everything is in it: a default ACL would pass to what is made later.
        for (const std::string& directory : directories_) describe_directory(directory);
        for (const auto& [path, times] : times_) set_times(path, times);
    }

private:
    using Times = std::array<timespec, 2>;

    static std::string parent_of(const std::string& path) {
        return path.empty() ? std::string() : std::string(parent_path(path));
    }

    bool is_old_directory(const std::string& path, const Stamps& now) const {
        const auto old = before_.find(path);
        const auto found = now.find(path);
        return old != before_.end() && found != now.end() && S_ISDIR(found->second.mode) &&
               found->second.is_same_inode(old->second);
    }

    bool is_in_moved(const std::string& path) const {
        for (std::string up = parent_of(path); !up.empty(); up = parent_of(up)) {
            if (std::binary_search(moved_.begin(), moved_.end(), up, PathLess())) return true;
        }
        return false;
    }

    void compare(const std::string& path, const Stamp& stamp) {
        check_stop(stop_);
        // Everything in a directory that moves as a whole moves with it.
        if (!moved_.empty() && is_inside(path, moved_.back())) return;
        const auto old = before_.find(path);
        if (old != before_.end() && stamp == old->second) return;
        if (old != before_.end() && S_ISDIR(stamp.mode) && stamp.is_same_inode(old->second)) {
            return need_directory(path);
        }
        need_directory(parent_of(path));
        moved_.push_back(path);
        if (S_ISDIR(stamp.mode) && old != before_.end()) opaque_.push_back(path);
        // The marks below change a directory's own time.
        if (S_ISDIR(stamp.mode)) remember_times(path);
    }

    void need_directory(const std::string& path) {
        for (std::string up = path; !directories_.contains(up); up = parent_of(up)) remember_directory(up);
    }

    // Before anything is moved out of it.
    void remember_directory(const std::string& path) {
        directories_.insert(path);
        // An overlay's root is its upper directory, which is as new as the step.
        if (!path.empty()) remember_times(path);
    }

    void remember_times(const std::string& path) {
        struct stat status {};
        const char* name = path.empty() ? "." : path.c_str();
        util::check(::fstatat(root_.fd(), name, &status, AT_SYMLINK_NOFOLLOW), "look at", path);
        times_.emplace(path, Times{status.st_atim, status.st_mtim});
    }

    void make_directory(const std::string& path) {
        if (!path.empty()) util::check(::mkdirat(upper_.fd(), path.c_str(), 0700), "make the directory", path);
    }

    /// With all that the root's has but its contents.
    void describe_directory(const std::string& path) {
        const util::Fd from = root_.open_file(path, O_RDONLY | O_DIRECTORY, util::Follow::no);
        const util::Fd to = upper_.open_file(path, O_RDONLY | O_DIRECTORY, util::Follow::no);
        struct stat status {};
        util::check(::fstat(from.get(), &status), "look at", path);
        util::check(::fchown(to.get(), status.st_uid, status.st_gid), "set the owner of", path);
        util::check(::fchmod(to.get(), status.st_mode & 07777U), "set the mode of", path);
        for (const auto& [name, value] : util::read_xattrs(from.get(), path)) {
            if (name.starts_with("security.") && name != "security.capability") continue;  // the machine's
            const std::string stored = is_like_a_mark(name) ? stored_name(name) : name;
            util::check(::fsetxattr(to.get(), stored.c_str(), value.data(), value.size(), 0),
                        "set an extended attribute of", path);
        }
    }

    // On an overlay nobody could set these; here they are a step's files' own, and must not be taken for ours.
    static bool is_like_a_mark(std::string_view name) {
        return name.starts_with("user.overlay.") && !name.starts_with("user.overlay.overlay.");
    }

    // Steps make directories as deep as they like, so no descriptor and no call stays open on the way down.
    void hold_marks_in(const std::string& top) {
        std::vector<std::string> todo = {top};
        while (!todo.empty()) {
            check_stop(stop_);
            const std::string path = std::move(todo.back());
            todo.pop_back();
            struct stat status {};
            util::check(::fstatat(upper_.fd(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW), "look at", path);
            if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) continue;
            const util::Fd fd = upper_.open_file(path, O_RDONLY | O_NONBLOCK, util::Follow::no);
            hold_marks_of(fd, path);
            if (!S_ISDIR(status.st_mode)) continue;
            for (const util::DirEntry& child : util::list_directory(fd.get(), path)) {
                todo.push_back(join_path(path, child.name));
            }
        }
    }

    static void hold_marks_of(const util::Fd& fd, const std::string& path) {
        for (const auto& [name, value] : util::read_xattrs(fd.get(), path)) {
            if (!is_like_a_mark(name)) continue;
            util::check(::fsetxattr(fd.get(), stored_name(name).c_str(), value.data(), value.size(), 0),
                        "set an extended attribute of", path);
            util::check(::fremovexattr(fd.get(), name.c_str()), "remove an extended attribute of", path);
        }
    }

    void move_one(const std::string& path) {
        // Directories in `path` are ours on both sides: links are moved, never gone through.
        const util::Fd from = root_.open_file(parent_of(path), O_PATH | O_DIRECTORY, util::Follow::no);
        const util::Fd to = upper_.open_file(parent_of(path), O_PATH | O_DIRECTORY, util::Follow::no);
        const std::string name(base_name(path));
        util::check(::renameat(from.get(), name.c_str(), to.get(), name.c_str()), "move", path);
        hold_marks_in(path);
    }

    void set_times(const std::string& path, const Times& times) {
        const char* name = path.empty() ? "." : path.c_str();
        util::check(::utimensat(upper_.fd(), name, times.data(), AT_SYMLINK_NOFOLLOW), "set the time of", path);
    }

    const Stamps& before_;
    const util::RootedDir& root_;
    const util::RootedDir& upper_;
    TreeInodes marks_;
    const std::stop_token& stop_;
    /// Of these only the directory itself; parents come first.
    std::set<std::string, PathLess> directories_;
    std::vector<std::string> moved_;
    std::vector<std::string> gone_;
    std::vector<std::string> opaque_;
    std::map<std::string, Times, PathLess> times_;
};

void CopiedRoot::move_changes(const util::RootedDir& root, const util::RootedDir& upper,
                              const std::stop_token& stop) const {
    Mover(stamps_, root, upper, stop).move();
}

}  // namespace imgbuild::layers
