#include "builder/rootfs.hpp"

#include <imgbuild/error.hpp>

#include "layers/file_content.hpp"
#include "layers/tar_writer.hpp"
#include "util/files.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>
#include <vector>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;
using util::Follow;

// Calls `visit` for everything in the tree, parents first. Of a file with several names the first is told as the file
// and the others as hard links to it.
class Walk {
public:
    using Visit = std::function<void(const SourceFileInfo& file)>;

    Walk(const SourceTree& tree, std::stop_token stop, Visit visit)
        : tree_(tree), stop_(std::move(stop)), visit_(std::move(visit)) {}

    void run(const std::string& directory = {}) {
        for (SourceFileInfo& child : tree_.children(directory)) {
            if (stop_.stop_requested()) throw Cancelled();
            const std::string path = child.entry.path;
            const bool is_directory = child.entry.type == EntryType::directory;
            note_link(child);
            visit_(child);
            if (is_directory) run(path);
        }
    }

private:
    void note_link(SourceFileInfo& file) {
        if (!file.link_group) return;
        const auto known = first_.try_emplace(*file.link_group, file.entry.path);
        if (known.second) return;
        file.entry.type = EntryType::hardlink;
        file.entry.link_target = known.first->second;
    }

    const SourceTree& tree_;
    std::stop_token stop_;
    Visit visit_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> first_;
};

// A tar that nobody cuts into blocks.
class PlainStream final : public layers::TarStream {
public:
    explicit PlainStream(util::Sink& out) : out_(out) {}
    void begin_entry(std::string_view) override {}
    void begin_content(std::uint64_t) override {}
    void write(std::span<const std::byte> bytes) override { out_.write(bytes); }

private:
    util::Sink& out_;
};

// What the kernel can be told through a descriptor of any kind.
std::string through(const util::Fd& fd, const std::string& name) {
    return fmt::format("/proc/self/fd/{}/{}", fd.get(), name);
}

class DirectoryWriter {
public:
    DirectoryWriter(const SourceTree& tree, util::RootedDir root) : tree_(tree), root_(std::move(root)) {}

    void add(const SourceFileInfo& file) {
        const Entry& entry = file.entry;
        const util::Place place = root_.open_parent(entry.path);
        switch (entry.type) {
            case EntryType::directory:
                util::check(::mkdirat(place.directory.get(), place.name.c_str(), 0700), "make", entry.path);
                // Described last: times change with what is put in, and some modes would keep us out.
                directories_.push_back(entry);
                return;
            case EntryType::file:
                add_file(file, place);
                return;
            case EntryType::hardlink:
                add_hard_link(entry, place);
                return;
            case EntryType::symlink:
                util::check(::symlinkat(entry.link_target.c_str(), place.directory.get(), place.name.c_str()),
                            "make the link", entry.path);
                break;
            default:
                add_node(entry, place);
        }
        describe(entry, place);
    }

    void finish() {
        for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
            describe(*entry, root_.open_parent(entry->path));
        }
    }

private:
    void add_file(const SourceFileInfo& file, const util::Place& place) {
        const layers::OpenContent from = tree_.open(file);
        const util::Fd to =
            util::open_at(place.directory.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        layers::copy_content(from.extent(), to.get(), file.entry.size, file.entry.path);
        describe(file.entry, place);
    }

    void add_hard_link(const Entry& entry, const util::Place& place) const {
        const util::Place first = root_.open_parent(entry.link_target);
        util::check(::linkat(first.directory.get(), first.name.c_str(), place.directory.get(), place.name.c_str(), 0),
                    "make the hard link", entry.path);
    }

    static void add_node(const Entry& entry, const util::Place& place) {
        const mode_t type = entry.type == EntryType::fifo          ? S_IFIFO
                            : entry.type == EntryType::char_device ? S_IFCHR
                                                                   : S_IFBLK;
        if (::mknodat(place.directory.get(), place.name.c_str(), type | 0600,
                      makedev(entry.dev_major, entry.dev_minor)) == 0) {
            return;
        }
        throw IoError("make the device", entry.path, errno, "devices need root; -o type=tar can hold them");
    }

    static void describe(const Entry& entry, const util::Place& place) {
        const std::string path = through(place.directory, place.name);
        for (const auto& xattr : entry.xattrs) {
            if (::lsetxattr(path.c_str(), xattr.first.c_str(), xattr.second.data(), xattr.second.size(), 0) == 0) {
                continue;
            }
            throw IoError(fmt::format("set the attribute {} of", util::quote(xattr.first)), entry.path, errno,
                          "this user or file system cannot hold it; -o type=tar can");
        }
        // After the attributes, since an access list would change it.
        if (entry.type != EntryType::symlink) {
            util::check(::fchmodat(place.directory.get(), place.name.c_str(), entry.mode, 0), "set the mode of",
                        entry.path);
        }
        const timespec time{.tv_sec = entry.mtime, .tv_nsec = 0};
        const timespec times[2] = {time, time};
        util::check(::utimensat(place.directory.get(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW),
                    "set the time of", entry.path);
    }

    const SourceTree& tree_;
    util::RootedDir root_;
    std::vector<Entry> directories_;
};

// Moves what is in one directory of ours into another one that has things in it.
class Merger {
public:
    Merger(util::RootedDir from, util::RootedDir to) : from_(std::move(from)), to_(std::move(to)) {}

    // Everything is looked at before anything is moved.
    void check(const std::string& directory = {}) const {
        for_each(directory, [&](const std::string& path, const struct stat& mine, const struct stat* theirs) {
            if (theirs == nullptr) return;
            if (S_ISDIR(mine.st_mode) != S_ISDIR(theirs->st_mode)) throw in_the_way(path, mine);
            if (S_ISDIR(mine.st_mode)) check(path);
        });
    }

    void move(const std::string& directory = {}) const {
        for_each(directory, [&](const std::string& path, const struct stat& mine, const struct stat* theirs) {
            const util::Place from = from_.open_parent(path);
            const util::Place to = to_.open_parent(path);
            if (theirs == nullptr || !S_ISDIR(mine.st_mode)) {
                util::check(::renameat(from.directory.get(), from.name.c_str(), to.directory.get(), to.name.c_str()),
                            "move", path);
                return;
            }
            move(path);
            util::check(::fchmodat(to.directory.get(), to.name.c_str(), mine.st_mode & 07777, 0), "set the mode of",
                        path);
            const timespec times[2] = {mine.st_mtim, mine.st_mtim};
            util::check(::utimensat(to.directory.get(), to.name.c_str(), times, 0), "set the time of", path);
        });
    }

private:
    template <class Body>
    void for_each(const std::string& directory, Body&& body) const {
        const util::Fd fd = from_.open_file(directory, O_RDONLY | O_DIRECTORY, Follow::no);
        for (const util::DirEntry& entry : util::list_directory(fd.get(), directory)) {
            const std::string path = layers::join_path(directory, entry.name);
            const auto mine = from_.stat(path, Follow::no);
            const auto theirs = to_.stat(path, Follow::no);
            body(path, mine.value(), theirs ? &*theirs : nullptr);
        }
    }

    static UsageError in_the_way(const std::string& path, const struct stat& mine) {
        return UsageError({.code = "usage.bad-output",
                           .message = fmt::format("{} is to be a {} in the output, and something else is there",
                                                  util::quote(path), S_ISDIR(mine.st_mode) ? "directory" : "file"),
                           .hint = "remove it, or write to an empty directory",
                           .where = {}});
    }

    util::RootedDir from_;
    util::RootedDir to_;
};

}  // namespace

void write_rootfs_tar(const SourceTree& tree, const std::string& folder, util::Sink& out, std::stop_token stop) {
    PlainStream stream(out);
    layers::TarWriter writer(stream);
    if (!folder.empty()) writer.add({.path = folder, .type = EntryType::directory, .mode = layers::kImplicitMode});
    Walk(tree, stop, [&](const SourceFileInfo& file) {
        Entry entry = file.entry;
        entry.path = layers::join_path(folder, entry.path);
        if (entry.type == EntryType::hardlink) entry.link_target = layers::join_path(folder, entry.link_target);
        if (entry.type != EntryType::file) {
            writer.add(entry);
            return;
        }
        const layers::OpenContent opened = tree.open(file);
        layers::ContentSource content(opened.extent(), entry.path, entry.size);
        writer.add_file(entry, content);
    }).run();
    writer.finish();
}

void write_rootfs_directory(const SourceTree& tree, const std::string& directory, std::stop_token stop) {
    const std::filesystem::path wanted = std::filesystem::path(directory + "/").parent_path();
    const bool exists = std::filesystem::is_directory(wanted);
    const std::string beside = wanted.has_parent_path() ? wanted.parent_path().string() : ".";
    const util::TempDir place(exists ? wanted.string() : beside, ".imgbuild-");
    const std::string staged = place.path() + "/files";
    util::check(::mkdir(staged.c_str(), 0755), "make", staged);
    DirectoryWriter writer(tree, util::RootedDir::open(staged));
    Walk(tree, stop, [&](const SourceFileInfo& file) { writer.add(file); }).run();
    writer.finish();
    if (!exists) {
        util::check(::rename(staged.c_str(), wanted.c_str()), "move the files to", wanted.string());
        return;
    }
    const Merger merger(util::RootedDir::open(staged), util::RootedDir::open(wanted.string()));
    merger.check();
    merger.move();
}

}  // namespace imgbuild::builder
