// A lease's life: its directory, its lock, and how it takes hold of what it finds.
#include "layers/store_data.hpp"

#include <imgbuild/error.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sys/stat.h>
#include <cerrno>
#include <cstdio>
#include <ctime>

namespace imgbuild::layers {

// The lock is taken before the directory has the name that sweepers look for. A process that dies in between leaves
// new-…; whoever holds the sweep lock exclusively knows that nobody is in between, since we hold it shared.
LeaseHold::LeaseHold(std::shared_ptr<StoreData> store) : store_(std::move(store)) {
    const std::string id = random_name();
    const auto guard = util::FileLock::acquire(store_->sweep_lock_path(), util::FileLock::Kind::shared);
    const std::string fresh = store_->temporary("new-" + id);
    util::check(::mkdir(fresh.c_str(), 0700), "make the directory", fresh);
    lock_ = util::FileLock::try_acquire(fresh + "/lock", util::FileLock::Kind::exclusive);
    name_ = "lease-" + id;
    util::check(::rename(fresh.c_str(), directory().c_str()), "put into place", directory());
}

LeaseHold::~LeaseHold() {
    try {
        store_->index().write([&](Tables& tables) { tables.drop_pins(name_); });
        // Away with the name first: no sweeper is to meet a lease that is half removed.
        const std::string dead = store_->temporary("dead-" + name_);
        util::check(::rename(directory().c_str(), dead.c_str()), "move aside", directory());
        util::remove_all(dead);
    } catch (const Error&) {
        // The lock goes with us, so the next opener takes what is left for a dead process's and sweeps it.
    }
}

bool LeaseHold::accept(const LayerRow& row, Check check) {
    // A layer of another boot that never saw its sync may have lost the contents of its files with the power. Its diff
    // id tells; without one nothing does, since its index knows names only, and it is made again.
    if (!store_->is_believed(row) || (check == Check::whole && !store_->has_good_names(row.id))) {
        store_->drop_layer(row.id);
        return false;
    }
    if (!row.has_tree && !find_any_blob(row)) {
        store_->drop_layer(row.id);
        return false;
    }
    return store_->index().write([&](Tables& tables) {
        if (!store_->is_layer_present(tables, row)) {
            tables.drop_layer(row.id);
            return false;
        }
        tables.pin_layer(name_, row.id);
        return tables.use_layer(row.id);
    });
}

// All of them are pinned, as nobody knows yet which one will be read.
bool LeaseHold::find_any_blob(const LayerRow& row) {
    const auto blobs = store_->index().read([&](Tables& tables) { return store_->present_blobs(tables, row); });
    bool found = false;
    for (const BlobInfo& blob : blobs) found |= find_blob(blob.digest).has_value();
    return found;
}

std::optional<BlobInfo> LeaseHold::find_blob(const Digest& digest) {
    const auto seen = store_->index().read([&](Tables& tables) { return tables.blob(digest); });
    if (!seen) return std::nullopt;
    // Outside of the transaction, since it may take seconds.
    if (!seen->trusted && !store_->has_good_digest(seen->blob)) {
        store_->drop_blob(digest);
        return std::nullopt;
    }
    return store_->index().write([&](Tables& tables) -> std::optional<BlobInfo> {
        const auto row = tables.blob(digest);
        if (!row) return std::nullopt;
        if (!store_->is_blob_present(row->blob)) {
            tables.drop_blob(digest);
            store_->retire(store_->blob_path(digest));
            return std::nullopt;
        }
        tables.pin_blob(name_, digest);
        tables.use_blob(digest);
        return row->blob;
    });
}

namespace {

// A step's name is the user's text; a file name is letters, digits and a few signs, and no longer than they allow.
std::string sanitise(std::string_view name) {
    constexpr std::size_t kLongest = 100;
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    std::string out;
    for (const char c : name.substr(0, kLongest)) {
        const bool inner_dot = c == '.' && !out.empty();
        out += inner_dot || kPlain.find(c) != std::string_view::npos ? c : '_';
    }
    return out.empty() ? "log" : out;
}

}  // namespace

std::string LeaseHold::log_path(std::string_view name) {
    const std::lock_guard lock(log_mutex_);
    if (log_directory_.empty()) {
        const std::string path =
            fmt::format("{}/logs/{:%Y%m%dT%H%M%SZ}-{}", store_->root(), fmt::gmtime(std::time(nullptr)), name_);
        util::check(::mkdir(path.c_str(), 0700), "make the directory", path);
        log_directory_ = path;
    }
    const std::string plain = sanitise(name);
    std::string unique = plain;
    for (int i = 2; !log_names_.insert(unique).second; ++i) unique = fmt::format("{}-{}", plain, i);
    return log_directory_ + "/" + unique;
}

}  // namespace imgbuild::layers
