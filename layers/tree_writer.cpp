#include "layers/tree_writer.hpp"

#include <imgbuild/error.hpp>

#include "layers/failure.hpp"
#include "layers/task_batches.hpp"
#include "layers/tree_inodes.hpp"
#include "util/assert.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace imgbuild::layers {
namespace {

constexpr int kMaxLinks = 40;
// What copying takes as long as all else about a small file.
constexpr std::uint64_t kBytesLikeAFile = 64U << 10;

struct Record {
    Entry entry;
    /// Names of one file share it; 0 for a file with one name.
    std::size_t inode = 0;
    /// In which its file is made.
    TaskBatches::Number batch = 0;
};
using Records = std::map<std::string, Record, PathLess>;

}  // namespace

class TreeWriter::State {
public:
    State(const util::RootedDir& tree, TreeOptions options)
        : tree_(tree.duplicate()), inodes_(tree), options_(options), batches_(options.threads) {
        Entry root = implicit_directory("");
        inodes_.describe_directory(root);
        records_[""] = Record{.entry = std::move(root)};
    }

    void add(Entry entry) {
        IMGBUILD_ASSERT(entry.type != EntryType::file || entry.size == 0);
        switch (entry.type) {
            case EntryType::directory:
                return add_directory(std::move(entry));
            case EntryType::hardlink:
                return add_hardlink(std::move(entry));
            case EntryType::file:
                return add_new(std::move(entry),
                               [this](const Entry& file) { return inodes_.make_file(file, nullptr); });
            case EntryType::symlink:
                return add_new(std::move(entry), [this](const Entry& link) { return inodes_.make_symlink(link); });
            default:
                return add_new(std::move(entry), [this](const Entry& node) { return inodes_.make_node(node); });
        }
    }

    template <class Make>
    void add_new(Entry entry, Make make) {
        make_way(entry);
        entry.overridden = make(entry) == Stored::partly;
        note(std::move(entry), 0);
    }

    void add_file(Entry entry, util::Source& content) {
        IMGBUILD_ASSERT(entry.type == EntryType::file);
        add_new(std::move(entry), [&](const Entry& file) { return inodes_.make_file(file, &content); });
    }

    void add_copy(Entry entry, const Extent& from) {
        IMGBUILD_ASSERT(entry.type == EntryType::file);
        add_new(std::move(entry),
                [&](const Entry& file) { return inodes_.make_copy(inodes_.place_file(file), file, from); });
    }

    // The name is taken at once and the file made some time. Until then nobody touches the record but to read it.
    void add_copy(Entry entry, LendFile lend) {
        IMGBUILD_ASSERT(entry.type == EntryType::file);
        make_way(entry);
        FilePlace place = inodes_.place_file(entry);
        Record& record = note(std::move(entry), 0);
        const std::uint64_t weight = 1 + record.entry.size / kBytesLikeAFile;
        auto copy = [this, &record, place = std::move(place), lend = std::move(lend)] {
            lend([&](const Extent& from) {
                if (inodes_.make_copy(place, record.entry, from) == Stored::fully) return;
                const std::lock_guard lock(partly_mutex_);
                partly_.push_back(&record.entry);
            });
        };
        record.batch = batches_.add(parent_path(record.entry.path), weight, std::move(copy));
    }

    void wait() {
        batches_.wait_for_all();
        take_results();
    }

    // What is wrong with an entry is told after what went wrong with those before it.
    template <class Body>
    void in_turn(Body body) {
        try {
            body();
        } catch (...) {
            batches_.wait_for_all();
            throw;
        }
    }

    void mark_opaque(std::string_view directory) {
        // A mark in a link's directory is for what the link leads to.
        const std::string path(parent_path(resolve_parents(join_path(directory, "x"))));
        Record& record = require_directory(path);
        record.entry.opaque = true;
        inodes_.set_opaque(record.entry);
    }

    const Entry* find(std::string_view path) const {
        const auto found = records_.find(path);
        return found == records_.end() ? nullptr : &found->second.entry;
    }

    std::string resolve_parents(std::string_view path) const {
        std::string done;
        std::vector<std::string> rest;  // the next component is the last element
        push_components(path, rest);
        int links = 0;
        while (!rest.empty()) {
            const std::string component = std::move(rest.back());
            rest.pop_back();
            if (component == "..") {
                done = done.empty() ? done : std::string(parent_path(done));
                continue;
            }
            std::string next = join_path(done, component);
            const Entry* entry = rest.empty() ? nullptr : find(next);
            if (entry == nullptr || entry->type != EntryType::symlink) {
                done = std::move(next);
                continue;
            }
            if (++links > kMaxLinks) bad_archive(fmt::format("too many links on the way to {}", util::quote(path)));
            if (entry->link_target.starts_with('/')) done.clear();
            push_components(entry->link_target, rest);
        }
        return done;
    }

    NameIndex finish() {
        wait();
        drop_needless_whiteouts();
        choose_files();
        auto passwd = user_file("etc/passwd");
        auto group = user_file("etc/group");
        std::vector<Entry> entries;
        entries.reserve(records_.size());
        for (auto& [path, record] : records_) {
            if (record.entry.type == EntryType::directory) {
                if (inodes_.set_default_acl(record.entry) == Stored::partly) record.entry.overridden = true;
                inodes_.set_directory_time(record.entry);
            }
            entries.push_back(std::move(record.entry));
        }
        records_.clear();
        // A layer of nothing has no names, not a root that nobody described.
        if (entries.size() == 1 && entries[0].implicit && !entries[0].opaque) entries.clear();
        return NameIndex(std::move(entries), std::move(passwd), std::move(group));
    }

private:
    static void push_components(std::string_view path, std::vector<std::string>& rest) {
        const auto components = util::path_components(path);
        for (auto it = components.rbegin(); it != components.rend(); ++it) rest.emplace_back(*it);
    }

    Entry implicit_directory(std::string path) const {
        return {.path = std::move(path),
                .type = EntryType::directory,
                .mode = kImplicitMode,
                .mtime = options_.implicit_mtime,
                .implicit = true};
    }

    Record& note(Entry entry, std::size_t inode) {
        std::string path = entry.path;
        return records_.insert_or_assign(std::move(path), Record{.entry = std::move(entry), .inode = inode})
            .first->second;
    }

    void wait_for(TaskBatches::Number batch) {
        batches_.wait_for(batch);
        take_results();
    }

    void take_results() {
        const std::lock_guard lock(partly_mutex_);
        for (Entry* entry : partly_) entry->overridden = true;
        partly_.clear();
    }

    /// The record of a directory, made implicit with all its parents if there is none.
    Record& require_directory(const std::string& path) {
        const auto found = records_.find(path);
        if (found != records_.end()) {
            Record& record = found->second;
            if (record.entry.type == EntryType::directory) return record;
            if (record.entry.type != EntryType::whiteout) {
                bad_archive(fmt::format("something lies in {}, which is no directory", util::quote(path)));
            }
        }
        require_directory(std::string(parent_path(path)));
        Entry directory = implicit_directory(path);
        // What the layer deletes and makes again is new: nothing below describes it.
        directory.opaque = found != records_.end();
        directory.implicit = !directory.opaque;
        return replace_by_directory(std::move(directory));
    }

    Record& replace_by_directory(Entry directory) {
        if (records_.contains(directory.path)) forget(directory.path);
        directory.overridden = inodes_.make_directory(directory) == Stored::partly;
        return note(std::move(directory), 0);
    }

    // Links on the way followed, parents made, and what was at the path removed.
    void make_way(Entry& entry) {
        IMGBUILD_ASSERT(!entry.path.empty());
        entry.implicit = false;
        entry.opaque = false;
        entry.external = false;
        prepare_parent(entry);
        if (records_.contains(entry.path)) forget(entry.path);
    }

    // Most entries lie in the same directory as the one before.
    void prepare_parent(Entry& entry) {
        const std::string_view parent = parent_path(entry.path);
        if (parent_known_ && parent == last_parent_) {
            if (last_parent_ != last_resolved_) entry.path = join_path(last_resolved_, base_name(entry.path));
            return;
        }
        last_parent_ = parent;
        entry.path = resolve_parents(entry.path);
        last_resolved_ = parent_path(entry.path);
        require_directory(last_resolved_);
        parent_known_ = true;
    }

    void forget(const std::string& path) {
        const auto first = records_.find(path);
        TaskBatches::Number batch = first->second.batch;
        auto last = std::next(first);
        for (; last != records_.end() && is_inside(last->first, path); ++last) {
            batch = std::max(batch, last->second.batch);
        }
        wait_for(batch);
        // External hard links have no inode; remove() takes absence for done.
        inodes_.remove(path);
        records_.erase(first, last);
        parent_known_ = false;
    }

    void add_directory(Entry entry) {
        entry.external = false;
        if (!entry.path.empty()) prepare_parent(entry);
        const auto found = records_.find(entry.path);
        if (found == records_.end()) {
            replace_by_directory(std::move(entry));
        } else if (found->second.entry.type == EntryType::directory) {
            Entry& old = found->second.entry;
            const bool mark = entry.opaque && !old.opaque;
            // What is made in it gets its group from it.
            wait();
            entry.opaque = entry.opaque || old.opaque;
            entry.overridden = inodes_.describe_directory(entry) == Stored::partly;
            if (mark) inodes_.set_opaque(entry);
            old = std::move(entry);
        } else {
            entry.opaque = true;
            replace_by_directory(std::move(entry));
        }
        parent_known_ = false;
    }

    void add_hardlink(Entry entry) {
        const std::string target = resolve_parents(entry.link_target);
        prepare_parent(entry);
        if (target == entry.path) return;  // a link to itself changes nothing
        const auto file = records_.find(target);
        if (file != records_.end() && file->second.entry.type == EntryType::directory) {
            bad_archive(fmt::format("the hard link {} is to a directory", util::quote(entry.path)));
        }
        const bool known = file != records_.end() && file->second.entry.type != EntryType::whiteout;
        if (is_inside(target, entry.path)) {
            bad_archive(
                fmt::format("the hard link {} takes the place of its file's directory", util::quote(entry.path)));
        }
        if (records_.contains(entry.path)) forget(entry.path);
        require_directory(std::string(parent_path(entry.path)));
        if (!known) return note_external(std::move(entry), target);
        link_to(file->second, std::move(entry));
    }

    void note_external(Entry entry, std::string target) {
        entry.link_target = std::move(target);
        entry.external = true;
        entry.size = 0;
        note(std::move(entry), 0);
    }

    void link_to(Record& file, Entry asked) {
        wait_for(file.batch);
        Entry link = file.entry;
        const std::string target = std::exchange(link.path, std::move(asked.path));
        if (link.external) {  // to the same file below
            note(std::move(link), 0);
            return;
        }
        if (file.inode == 0) file.inode = ++inode_count_;
        inodes_.make_hardlink(target, link.path);
        if (options_.links_describe) described_.insert_or_assign(file.inode, std::move(asked));
        note(std::move(link), file.inode);
    }

    // In an opaque directory they hide nothing, and the kernel would list them there as files that do not exist.
    void drop_needless_whiteouts() {
        const std::string* around = nullptr;  // the outermost opaque directory
        for (auto it = records_.begin(); it != records_.end();) {
            const auto& [path, record] = *it;
            if (around != nullptr && !is_inside(path, *around)) around = nullptr;
            if (around != nullptr && record.entry.type == EntryType::whiteout) {
                inodes_.remove(path);
                it = records_.erase(it);
                continue;
            }
            if (around == nullptr && record.entry.opaque) around = &path;
            ++it;
        }
    }

    // Until now all names of a file have its entry. The first in path order keeps it, the others link there.
    void choose_files() {
        std::vector<const Entry*> first(inode_count_ + 1, nullptr);
        for (auto& [path, record] : records_) {
            if (record.inode == 0) continue;
            Entry& entry = record.entry;
            const Entry* file = std::exchange(first[record.inode], first[record.inode] ? first[record.inode] : &entry);
            if (file == nullptr) {
                describe_again(entry, record.inode);
                continue;
            }
            entry = *file;
            entry.path = path;
            entry.type = EntryType::hardlink;
            entry.link_target = file->path;
        }
    }

    // Once per file at the end, and not with each link, since all of its names' records would have to be found then.
    void describe_again(Entry& entry, std::size_t inode) {
        const auto link = described_.find(inode);
        const bool takes = entry.type == EntryType::file || entry.type == EntryType::symlink;
        if (link == described_.end() || !takes) return;
        if (entry.type == EntryType::file) entry.mode = link->second.mode;
        entry.uid = link->second.uid;
        entry.gid = link->second.gid;
        entry.mtime = link->second.mtime;
        entry.overridden = inodes_.describe_again(entry) == Stored::partly;
    }

    std::optional<std::string> user_file(std::string_view path) const {
        const Entry* entry = find(path);
        const bool file = entry != nullptr && !entry->external &&
                          (entry->type == EntryType::file || entry->type == EntryType::hardlink);
        if (!file || entry->size > kMaxUserFileBytes) return std::nullopt;
        return tree_.read_file(path, kMaxUserFileBytes);
    }

    util::RootedDir tree_;
    TreeInodes inodes_;
    TreeOptions options_;
    Records records_;
    std::size_t inode_count_ = 0;
    /// By inode: the last hard link to it, if links describe their files.
    std::map<std::size_t, Entry> described_;
    std::string last_parent_;
    std::string last_resolved_;
    bool parent_known_ = false;
    std::mutex partly_mutex_;
    /// Copies that are, and whose entries do not say so yet.
    std::vector<Entry*> partly_;
    /// The last member: its tasks use the others.
    TaskBatches batches_;
};

TreeWriter::TreeWriter(const util::RootedDir& tree, TreeOptions options)
    : state_(std::make_unique<State>(tree, options)) {}

TreeWriter::~TreeWriter() = default;

void TreeWriter::add(Entry entry) {
    state_->in_turn([&] { state_->add(std::move(entry)); });
}

void TreeWriter::add_file(Entry entry, util::Source& content) {
    state_->in_turn([&] { state_->add_file(std::move(entry), content); });
}

void TreeWriter::add_copy(Entry entry, const Extent& from) {
    state_->in_turn([&] { state_->add_copy(std::move(entry), from); });
}

void TreeWriter::add_copy(Entry entry, LendFile lend) {
    state_->in_turn([&] { state_->add_copy(std::move(entry), std::move(lend)); });
}

void TreeWriter::wait() {
    state_->wait();
}

void TreeWriter::mark_opaque(std::string_view directory) {
    state_->in_turn([&] { state_->mark_opaque(directory); });
}

const Entry* TreeWriter::find(std::string_view path) const {
    return state_->find(path);
}

std::string TreeWriter::resolve_parents(std::string_view path) const {
    return state_->resolve_parents(path);
}

NameIndex TreeWriter::finish() {
    return state_->finish();
}

}  // namespace imgbuild::layers
