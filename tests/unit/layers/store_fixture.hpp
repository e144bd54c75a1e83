// A store in a temporary directory, and short ways to put things into it.
#pragma once

#include "layers/pack.hpp"
#include "layers/sqlite.hpp"
#include "layers/store.hpp"
#include "layers/tree_writer.hpp"

#include <fcntl.h>
#include <algorithm>
#include <filesystem>
#include <string>

namespace imgbuild::layers {

struct StoreFixture {
    util::TempDir directory{"/tmp", "imgbuild-test-"};
    std::string root = directory.path() + "/store";
    std::shared_ptr<Store> store = Store::open(root);

    /// Changes the index behind the store's back.
    void tamper(const std::string& sql) const {
        sqlite::Database database(root + "/index.db");
        database.execute(sql);
    }

    /// How many things in tmp/ begin with `prefix`.
    std::size_t count_temporary(const std::string& prefix) const {
        const auto matches = [&](const auto& entry) { return entry.path().filename().string().starts_with(prefix); };
        return static_cast<std::size_t>(std::count_if(std::filesystem::directory_iterator(root + "/tmp"), {}, matches));
    }

    std::size_t count_layers() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(root + "/layers"), {}));
    }
};

inline KeyRecord make_record(const std::string& name) {
    return {.key = util::Sha256::of(name), .kind = "exec", .slot = "stage/0", .ingredients = "{\"v\":1}"};
}

/// Publishes a layer with one file, which holds `name`.
inline LayerId publish_layer(Lease& lease, const std::string& name) {
    UnfinishedLayer layer = lease.begin_layer();
    const util::Fd file = util::open_path(layer.tree() + "/file", O_WRONLY | O_CREAT, 0644);
    util::write_all(file.get(), name, "file");
    return lease.publish(std::move(layer), "names of " + name, {}, make_record(name));
}

/// A layer of one file, "file", with its names and its diff id.
inline LayerId publish_packed(Lease& lease) {
    UnfinishedLayer layer = lease.begin_layer();
    const auto tree = util::RootedDir::open(layer.tree());
    TreeWriter writer(tree);
    util::MemorySource content("content");
    writer.add_file({.path = "file", .type = EntryType::file, .mode = 0644, .size = 7}, content);
    const NameIndex names = writer.finish();
    const PackResult packed = pack(names, tree, {}, nullptr, 1);
    return lease.publish(std::move(layer), names.serialize(), {.diff_id = packed.diff_id, .tar_size = packed.tar_size},
                         make_record("packed"));
}

inline BlobInfo put_blob(Lease& lease, const std::string& text) {
    BlobWriter writer = lease.begin_blob();
    writer.write(util::as_bytes(text));
    return writer.commit();
}

inline std::string read_blob(Lease& lease, const BlobInfo& blob) {
    return util::read_all(*lease.open_blob(blob), 1 << 20, "blob");
}

}  // namespace imgbuild::layers
