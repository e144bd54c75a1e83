#include "builder/ops/placement.hpp"

#include <imgbuild/error.hpp>

#include "builder/ops/users.hpp"
#include "parser/values.hpp"
#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace imgbuild::builder {
namespace {

using layers::Entry;
using layers::EntryType;
using util::overloaded;

using Owner = std::pair<std::uint32_t, std::uint32_t>;

Error bad_destination(std::string message) {
    return Error({.code = "build.bad-destination", .message = std::move(message), .hint = {}, .where = {}});
}

bool names_directory(std::string_view destination) {
    return destination.ends_with('/') || destination.ends_with("/.") || destination == ".";
}

class Placer {
public:
    Placer(const layers::ChainView& base, const layers::ChainView& users, const IsArchive& is_archive)
        : base_(base), users_(users), is_archive_(is_archive) {}

    void copy(std::size_t action, const CopyFiles& copy, const Selection& selection) {
        const Rules rules = rules_for(copy.owner, copy.mode);
        // A wildcard that matched nothing does nothing, not even to the destination.
        if (selection.roots.empty()) return;
        const Target target = prepare(copy.destination, rules);
        warn_of_several_in_one(copy, selection, target);
        for (const SelectedRoot& root : selection.roots) {
            const bool is_file = root.self.entry.type == EntryType::file;
            if (root.self.entry.type == EntryType::directory) {
                copy_directory(action, root, target.path, rules);
            } else if (copy.unpack_archives && is_file && is_archive_(action, root.self)) {
                make_directories(target.path, rules.made());
                out_.entries.push_back(
                    {.entry = look(target.path).value(),
                     .content = FromArchive{.action = action, .file = &root.self, .owner = rules.given_owner}});
            } else {
                const std::string path = file_target(target, root.name);
                put_file(action, root.self, path, rules);
            }
        }
    }

    void make_directory(const MakeDirectory& make) {
        const std::string path = resolve(make.path);
        // Whoever it would belong to matters only if it is made.
        if (is_directory(path)) return;
        const Owner owner = make.owner ? resolve_owner(*make.owner, users_) : Owner{0, 0};
        make_directories(path, {.owner = owner, .mode = make.mode});
    }

    void make_file(const MakeFile& make) {
        const Rules rules = rules_for(make.owner, make.mode);
        const Target target = prepare(make.destination, rules);
        const std::string path = file_target(target, make.name);
        refuse_directory(path);
        Entry entry{.path = path, .type = EntryType::file, .mode = 0644, .size = make.content.size()};
        apply(rules, entry);
        write({.entry = std::move(entry), .content = FromText{make.content}});
    }

    Placement take() { return std::move(out_); }

private:
    // Directories that are made on the way.
    struct Made {
        Owner owner{0, 0};
        std::uint32_t mode = layers::kImplicitMode;
    };
    struct Rules {
        std::optional<Owner> given_owner;
        std::optional<parser::FileMode> mode;

        // --chmod counts for them too, but for the special bits.
        Made made() const {
            Made out{.owner = given_owner.value_or(Owner{0, 0})};
            if (mode) out.mode = mode->apply(out.mode, true) & 0777;
            return out;
        }
    };
    struct Target {
        std::string path;
        bool is_directory = false;
    };

    Rules rules_for(const std::optional<OwnerText>& owner, const std::string& mode) const {
        Rules out;
        if (owner) out.given_owner = resolve_owner(*owner, users_);
        if (!mode.empty()) out.mode = parser::FileMode::parse(mode);
        return out;
    }

    static void apply(const Rules& rules, Entry& entry) {
        // Without --chown files keep their owner: 0:0 for the user's own, whatever it is for those of other stages.
        if (rules.given_owner) std::tie(entry.uid, entry.gid) = *rules.given_owner;
        if (rules.mode && entry.type != EntryType::symlink) {
            entry.mode = rules.mode->apply(entry.mode, entry.type == EntryType::directory);
            // Who may do what is said by --chmod now; a list beside it would contradict.
            entry.xattrs.erase("system.posix_acl_access");
        }
    }

    // What is at `path` once the entries so far are written; nothing on the way is followed.
    std::optional<Entry> look(std::string_view path) const {
        if (const auto at = written_.find(path); at != written_.end()) return *at->second;
        if (path.empty()) return Entry{.path = "", .type = EntryType::directory, .mode = layers::kImplicitMode};
        const auto found = base_.find(path);
        if (!found) return std::nullopt;
        Entry entry = *found->entry;
        entry.path = path;
        entry.implicit = true;
        return entry;
    }

    // The same without a copy, as it is asked for every file.
    std::optional<EntryType> type_at(std::string_view path) const {
        if (const auto at = written_.find(path); at != written_.end()) return at->second->type;
        if (path.empty()) return EntryType::directory;
        if (!new_directory_.empty() && layers::is_inside(path, new_directory_)) return std::nullopt;
        const auto found = base_.find(path);
        return found ? std::optional(found->entry->type) : std::nullopt;
    }

    bool is_directory(std::string_view path) const { return type_at(path) == EntryType::directory; }
    bool is_something_else(std::string_view path) const {
        return type_at(path).value_or(EntryType::directory) != EntryType::directory;
    }

    // Links of the base on the way to a destination are followed. Directories that this op made itself are none, and
    // files that it wrote are met when something is put below them.
    std::string resolve(std::string_view path) const { return base_.resolve(path, util::Follow::yes).path; }

    Target prepare(const std::string& destination, const Rules& rules) {
        const bool hint = names_directory(destination);
        const std::string path = resolve(destination);
        if (hint) {
            make_directories(path, rules.made());
        } else if (!path.empty()) {
            make_directories(std::string(layers::parent_path(path)), rules.made());
        }
        return {.path = path, .is_directory = hint || is_directory(path)};
    }

    std::string file_target(const Target& target, const std::string& name) const {
        return target.is_directory ? layers::join_path(target.path, name) : target.path;
    }

    // As docker does it, but not silently.
    void warn_of_several_in_one(const CopyFiles& copy, const Selection& selection, const Target& target) {
        const auto files = std::count_if(selection.roots.begin(), selection.roots.end(), [](const SelectedRoot& root) {
            return root.self.entry.type != EntryType::directory;
        });
        if (files < 2 || target.is_directory) return;
        out_.warnings.push_back(
            fmt::format("{} files are copied to the one name {}, so only the last is there; if it "
                        "is to be a directory, write {}/",
                        files, util::quote(copy.destination), copy.destination));
    }

    void make_directories(const std::string& path, const Made& made) {
        if (path.empty()) return;
        if (const auto type = type_at(path)) {
            if (*type == EntryType::directory) return;
            throw bad_destination(fmt::format("{} is no directory in the image", util::quote("/" + path)));
        }
        make_directories(std::string(layers::parent_path(path)), made);
        Entry entry{.path = path, .type = EntryType::directory, .mode = made.mode};
        std::tie(entry.uid, entry.gid) = made.owner;
        write({.entry = std::move(entry), .content = {}});
    }

    void copy_directory(std::size_t action, const SelectedRoot& root, const std::string& target, const Rules& rules) {
        if (is_something_else(target)) {
            throw bad_destination(fmt::format("cannot copy the directory {} to {}: it is no directory",
                                              util::quote(root.self.entry.path), util::quote("/" + target)));
        }
        if (!base_.find(target)) new_directory_ = target;
        make_directories(target, rules.made());
        written_.reserve(written_.size() + root.below.size());
        const std::size_t prefix = root.self.entry.path.empty() ? 0 : root.self.entry.path.size() + 1;
        for (const SourceFileInfo& file : root.below) {
            put(action, file, layers::join_path(target, std::string_view(file.entry.path).substr(prefix)), rules);
        }
    }

    void put(std::size_t action, const SourceFileInfo& file, const std::string& path, const Rules& rules) {
        if (file.entry.type == EntryType::directory) {
            put_directory(file, path, rules);
        } else {
            put_file(action, file, path, rules);
        }
    }

    void put_directory(const SourceFileInfo& file, const std::string& path, const Rules& rules) {
        if (is_something_else(path)) {
            throw bad_destination(fmt::format("cannot copy the directory {} to {}: the image has something else there",
                                              util::quote(file.entry.path), util::quote("/" + path)));
        }
        Entry entry = file.entry;
        entry.path = path;
        apply(rules, entry);
        write({.entry = std::move(entry), .content = {}});
    }

    void put_file(std::size_t action, const SourceFileInfo& file, const std::string& path, const Rules& rules) {
        refuse_directory(path);
        Entry entry = file.entry;
        entry.path = path;
        apply(rules, entry);
        PlacedEntry placed{.entry = std::move(entry), .content = {}};
        if (placed.entry.type == EntryType::file) placed.content = FromSource{.action = action, .file = &file};
        write(std::move(placed));
    }

    void refuse_directory(const std::string& path) const {
        if (!is_directory(path)) return;
        throw bad_destination(fmt::format("cannot replace the directory {} with a file", util::quote("/" + path)));
    }

    void write(PlacedEntry placed) {
        const Entry& entry = out_.entries.emplace_back(std::move(placed)).entry;
        const auto [at, is_new] = written_.try_emplace(entry.path, &entry);
        if (!is_new) at->second = &entry;  // the key stays that of the earlier entry, which is still there
    }

    const layers::ChainView& base_;
    const layers::ChainView& users_;
    const IsArchive& is_archive_;
    Placement out_;
    /// By path; both point into `out_`, whose entries stay where they are.
    std::unordered_map<std::string_view, const Entry*> written_;
    /// A directory that the base does not have, so that it need not be asked for anything in it.
    std::string new_directory_;
};

}  // namespace

std::pair<std::uint32_t, std::uint32_t> resolve_owner(const OwnerText& owner, const layers::ChainView& base) {
    if (!owner.group.empty()) {
        const ResolvedUser user = resolve_user(owner.user + ":" + owner.group, base.passwd(), base.group());
        return {user.uid, user.gid};
    }
    const ResolvedUser user = resolve_user(owner.user, base.passwd(), {});
    // A name has its user's group. A number has the same number, whoever etc/passwd says that it is: so docker has it.
    const bool is_name = !util::parse_number(owner.user).has_value();
    return {user.uid, is_name ? user.gid : user.uid};
}

Placement place_files(const File& file, const std::vector<Selection>& selections, const layers::ChainView& base,
                      const layers::ChainView& users, const IsArchive& is_archive) {
    Placer placer(base, users, is_archive);
    for (std::size_t i = 0; i < file.actions.size(); ++i) {
        std::visit(overloaded{
                       [&](const CopyFiles& copy) { placer.copy(i, copy, selections.at(i)); },
                       [&](const MakeDirectory& make) { placer.make_directory(make); },
                       [&](const MakeFile& make) { placer.make_file(make); },
                   },
                   file.actions[i]);
    }
    return placer.take();
}

}  // namespace imgbuild::builder
