#include "layers/fsck.hpp"

#include <imgbuild/error.hpp>

#include "layers/disk_use.hpp"
#include "layers/failure.hpp"
#include "layers/pack.hpp"
#include "layers/store_data.hpp"
#include "layers/tree_check.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace imgbuild::layers {
namespace {

using Findings = std::vector<FsckFinding>;

void note(Findings& findings, std::string problem, std::string object, std::string detail, bool repaired) {
    findings.push_back({.problem = std::move(problem),
                        .object = std::move(object),
                        .detail = std::move(detail),
                        .repaired = repaired});
}

// ---------------------------------------------------------------- the index

// No build may have it open: it would go on writing into a file that nobody finds any more.
void set_index_aside(const std::string& root) {
    const auto guard = util::FileLock::acquire(root + "/tmp/sweep.lock", util::FileLock::Kind::exclusive);
    for (const std::string& name : names_in(root + "/tmp")) {
        if (!name.starts_with("lease-")) continue;
        if (util::FileLock::try_acquire(fmt::format("{}/tmp/{}/lock", root, name), util::FileLock::Kind::exclusive))
            continue;
        throw Error(
            {.code = "store.busy",
             .message = fmt::format("the index of {} is damaged, and a build that runs has it open", util::quote(root)),
             .hint = "wait until the build has ended, then repair",
             .where = {}});
    }
    const std::string aside = root + "/tmp/dead-" + random_name();
    util::make_directories(aside);
    for (const char* name : {"index.db", "index.db-wal", "index.db-shm"}) {
        const std::string from = root + "/" + name;
        if (!path_exists(from)) continue;
        util::check(::rename(from.c_str(), (aside + "/" + name).c_str()), "move aside", from);
    }
}

std::vector<std::string> damage_of(StoreData& store) {
    try {
        return store.index().find_damage();
    } catch (const Error& error) {
        if (error.code() != "store.damaged") throw;
        return {error.message()};
    }
}

// SQLite's search trees can be made anew from its tables; what else is broken cannot be told from what is right.
bool mend_index(StoreData& store) {
    try {
        store.index().rebuild_search_trees();
        return store.index().find_damage().empty();
    } catch (const Error&) {
        return false;
    }
}

// Nothing if the index cannot be used and may not be repaired.
std::unique_ptr<StoreData> open_index(const std::string& root, bool repair, Findings& findings) {
    std::string damage;
    try {
        auto store = std::make_unique<StoreData>(root);
        const std::vector<std::string> found = damage_of(*store);
        if (found.empty()) return store;
        if (repair && mend_index(*store)) {
            note(findings, "index-damaged", "index.db", found.front(), true);
            return store;
        }
        damage = found.front();
    } catch (const Error& error) {
        if (error.code() != "store.damaged") throw;
        damage = error.message();
    }
    note(findings, "index-damaged", "index.db", damage, repair);
    if (!repair) return nullptr;
    set_index_aside(root);
    return std::make_unique<StoreData>(root);
}

// ---------------------------------------------------------------- everything else

class Fsck {
public:
    Fsck(std::unique_ptr<StoreData> store, const FsckOptions& options, Findings findings)
        : store_(std::move(store)), lease_(store_), options_(options) {
        report_.findings = std::move(findings);
    }

    FsckReport run() {
        // First, as dropping a damaged object leaves references to it, which are no finding of their own.
        check_references();
        compare_with_directories();
        for (const Digest& digest : stray_blobs_) take_in(digest);
        // Blobs first, since a layer may live by its blob alone.
        const auto blobs = store_->index().read([](Tables& tables) { return tables.all_blobs(); });
        for (const Digest& digest : blobs) check_blob(digest);
        const auto layers = store_->index().read([](Tables& tables) { return tables.all_layers(); });
        for (const LayerId& id : layers) check_layer(id);
        if (options_.repair) store_->index().write([](Tables& tables) { drop_references(tables); });
        check_temporary();
        return std::move(report_);
    }

private:
    void found(std::string problem, std::string object, std::string detail) {
        note(report_.findings, std::move(problem), std::move(object), std::move(detail), options_.repair);
    }

    // Publishers rename while they hold the write lock, so whoever holds it sees every object with its row.
    void compare_with_directories() {
        store_->index().write([&](Tables& tables) {
            for (const LayerId& id : tables.all_layers()) check_presence(tables, id);
            for (const Digest& digest : tables.all_blobs()) {
                if (path_exists(store_->blob_path(digest))) continue;
                found("blob-lost", digest.text(), "its file is not there");
                if (options_.repair) tables.drop_blob(digest);
            }
            compare_layers(tables);
            compare_blobs(tables);
        });
    }

    bool check_presence(Tables& tables, const LayerId& id) {
        const auto row = tables.layer(id);
        if (!row) return false;
        if (store_->is_layer_present(tables, *row)) return true;
        lost_.insert(id);
        found("layer-lost", id.text(),
              row->has_tree ? "its tree or its name index is not there" : "it has no tree, and its blob is not there");
        if (options_.repair) drop_layer(tables, id);
        return false;
    }

    void compare_layers(Tables& tables) {
        for (const std::string& name : names_in(store_->root() + "/layers")) {
            const LayerId id(name);
            const bool pinned = tables.is_layer_pinned(id);
            // One that was found damaged may still have a step standing on it.
            if (tables.layer(id) || pinned) continue;
            found("layer-without-row", "layers/" + name, "the index does not know it");
            if (options_.repair) store_->retire(store_->layer_path(id));
        }
    }

    void compare_blobs(Tables& tables) {
        for (const std::string& name : names_in(store_->root() + "/blobs/sha256")) {
            const auto digest = Digest::parse("sha256:" + name);
            if (digest && (tables.blob(*digest) || tables.is_blob_pinned(*digest))) continue;
            if (digest) {
                // Reading it takes time, which is not taken with the lock held.
                stray_blobs_.push_back(*digest);
                continue;
            }
            found("blob-without-row", "blobs/sha256/" + name, "its name is no digest");
            if (options_.repair) store_->retire(store_->root() + "/blobs/sha256/" + name);
        }
    }

    void take_in(const Digest& digest) {
        struct stat status {};
        const std::string path = store_->blob_path(digest);
        if (::lstat(path.c_str(), &status) != 0) return;
        const BlobInfo blob{.digest = digest, .size = static_cast<std::uint64_t>(status.st_size)};
        const bool good = S_ISREG(status.st_mode) && store_->has_good_digest(blob);
        found("blob-without-row", "blobs/sha256/" + digest.hex(),
              good ? "the index does not know it; its bytes are good" : "the index does not know it");
        if (!options_.repair) return;
        store_->index().write([&](Tables& tables) {
            if (tables.blob(digest)) return;
            if (good) {
                tables.put_blob(blob, disk_use(path));
            } else {
                store_->retire(path);
            }
        });
    }

    // ------------------------------------------------------------ layers

    void check_layer(const LayerId& id) {
        check_stop(options_.stop);
        const auto row = store_->index().write([&](Tables& tables) {
            auto out = tables.layer(id);
            if (out && lost_.contains(id)) return decltype(out)();
            if (out && !check_presence(tables, id)) return decltype(out)();
            if (out) tables.pin_layer(lease_.name(), id);
            return out;
        });
        if (!row) return;
        ++report_.layers;
        if (const auto damage = damage_of_layer(*row)) {
            found(damage->first, id.text(), damage->second);
            store_->index().write([&](Tables& tables) {
                tables.unpin_layer(lease_.name(), id);
                if (options_.repair) drop_layer(tables, id);
            });
            return;
        }
        check_size(id);
        store_->index().write([&](Tables& tables) { tables.unpin_layer(lease_.name(), id); });
    }

    // With its row goes the directory, unless a running step may stand on it.
    void drop_layer(Tables& tables, const LayerId& id) {
        tables.drop_layer(id);
        if (!tables.is_layer_pinned(id)) store_->retire(store_->layer_path(id));
    }

    std::optional<std::pair<std::string, std::string>> damage_of_layer(const LayerRow& row) {
        // As whoever looks it up does: the contents are believed if they can be shown.
        if (!store_->is_believed(row)) {
            return std::pair("layer-unsynced",
                             "it was written shortly before the machine went down, perhaps not whole");
        }
        try {
            const NameIndex names = NameIndex::parse(store_->read_names(row.id));
            if (!row.has_tree) return std::nullopt;
            const util::RootedDir tree = util::RootedDir::open(store_->layer_path(row.id) + "/tree");
            if (auto damage = find_tree_damage(names, tree, options_.stop)) return std::pair("layer-tree", *damage);
            // What came from elsewhere is another writer's tar, which packing does not make again.
            if (options_.deep && row.facts.key && row.facts.diff_id) {
                return damage_of_content(names, tree, *row.facts.diff_id);
            }
        } catch (const CorruptData& error) {
            return std::pair("layer-names", error.message());
        }
        return std::nullopt;
    }

    std::optional<std::pair<std::string, std::string>> damage_of_content(const NameIndex& names,
                                                                         const util::RootedDir& tree,
                                                                         const DiffId& expected) const {
        const PackResult packed = pack(names, tree, {.kind = Codec::Kind::none}, nullptr, 1, options_.stop);
        if (packed.diff_id == expected) return std::nullopt;
        return std::pair("layer-content",
                         fmt::format("its tar is {} and was {}", packed.diff_id.text(), expected.text()));
    }

    void check_size(const LayerId& id) {
        const std::uint64_t size = disk_use(store_->layer_path(id));
        const auto recorded = store_->index().read([&](Tables& tables) { return tables.layer_disk(id); });
        if (recorded && *recorded != size) {
            found("layer-size", id.text(), fmt::format("it takes {} bytes of the disk, not {}", size, *recorded));
        }
        if (options_.repair && recorded != size)
            store_->index().write([&](Tables& tables) { tables.set_layer_disk(id, size); });
    }

    // ------------------------------------------------------------ blobs

    void check_blob(const Digest& digest) {
        check_stop(options_.stop);
        const auto row = store_->index().write([&](Tables& tables) {
            auto out = tables.blob(digest);
            if (out) tables.pin_blob(lease_.name(), digest);
            return out;
        });
        if (!row || !path_exists(store_->blob_path(digest))) return;
        ++report_.blobs;
        const bool good = store_->has_good_digest(row->blob);
        if (!good) found("blob-damaged", digest.text(), "its bytes are not what its digest says");
        store_->index().write([&](Tables& tables) {
            tables.unpin_blob(lease_.name(), digest);
            if (!options_.repair) return;
            if (good) {
                tables.trust_blob(digest);
                tables.set_blob_disk(digest, disk_use(store_->blob_path(digest)));
            } else {
                tables.drop_blob(digest);
                store_->retire(store_->blob_path(digest));
            }
        });
    }

    // ------------------------------------------------------------ references

    void check_references() {
        store_->index().write([&](Tables& tables) {
            report_.images = tables.all_images().size();
            for (const Digest& image : tables.damaged_images()) {
                found("image-damaged", image.text(), "its config is not what its id says");
                if (options_.repair) tables.drop_image(image);
            }
            for (const std::string& name : tables.lost_names()) found("name-lost", name, "its image is not there");
            for (const std::string& key : tables.lost_keys()) found("key-lost", key, "its layer is not there");
            for (const std::string& form : tables.lost_forms()) {
                found("form-lost", "sha256:" + form, "the blob of this diff id is not there");
            }
            for (const std::string& blob : tables.lost_blocks()) {
                found("blocks-lost", "sha256:" + blob, "the blob of these blocks is not there");
            }
            if (options_.repair) drop_references(tables);
        });
    }

    static void drop_references(Tables& tables) {
        tables.drop_lost_names();
        tables.drop_lost_keys();
        tables.drop_lost_forms();
    }

    // ------------------------------------------------------------ tmp/

    void check_temporary() {
        {
            const auto guard = util::FileLock::acquire(store_->sweep_lock_path(), util::FileLock::Kind::exclusive);
            for (const std::string& name : names_in(store_->temporary(""))) check_temporary(name);
            for (const std::string& lease :
                 store_->index().read([](Tables& tables) { return tables.pinning_leases(); })) {
                if (path_exists(store_->temporary(lease))) continue;
                found("pins-lost", lease, "a build that has ended still holds layers or blobs");
            }
        }
        if (options_.repair) sweep(*store_);
    }

    void check_temporary(const std::string& name) {
        static constexpr std::string_view kOurs[] = {"claims", "open.lock", "sweep.lock", "remove.lock"};
        if (std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs)) return;
        const std::string path = store_->temporary(name);
        if (name.starts_with("lease-")) {
            if (!util::FileLock::try_acquire(path + "/lock", util::FileLock::Kind::exclusive)) return;
            found("garbage", "tmp/" + name, "a build that was killed left it");
        } else if (name.starts_with("dead-")) {
            // Of what this repair has set aside nobody needs to hear.
            if (!options_.repair) found("garbage", "tmp/" + name, "it waits for its removal");
        } else {
            found("garbage", "tmp/" + name, "nobody works on it");
            if (options_.repair) store_->retire(path);
        }
    }

    std::shared_ptr<StoreData> store_;
    LeaseHold lease_;
    FsckOptions options_;
    FsckReport report_;
    std::vector<Digest> stray_blobs_;
    /// Told already.
    std::set<LayerId> lost_;
};

}  // namespace

bool FsckReport::good() const {
    return std::all_of(findings.begin(), findings.end(), [](const FsckFinding& finding) { return finding.repaired; });
}

FsckReport fsck(const std::string& root, const FsckOptions& options) {
    Findings findings;
    auto store = open_index(absolute_root(root), options.repair, findings);
    if (!store) return {.findings = std::move(findings)};
    return Fsck(std::move(store), options, std::move(findings)).run();
}

}  // namespace imgbuild::layers
