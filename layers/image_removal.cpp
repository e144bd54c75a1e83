#include "layers/image_removal.hpp"

#include "layers/sqlite.hpp"

namespace imgbuild::layers {
namespace {

// A connection of its own: this happens once in a while, and any number of processes have theirs anyway.
template <class Body>
bool change(const Store& store, Body&& body) {
    sqlite::Database index(store.root() + "/index.db");
    sqlite::Transaction transaction(index);
    const bool changed = body(index);
    transaction.commit();
    return changed;
}

}  // namespace

bool remove_name(const Store& store, const std::string& name) {
    return change(store, [&](sqlite::Database& index) {
        index
            .prepare(
                "DELETE FROM images WHERE id IN (SELECT image_id FROM names WHERE name = ?1)"
                " AND (SELECT count(*) FROM names WHERE image_id = id) = 1")
            .bind(name)
            .run();
        return index.prepare("DELETE FROM names WHERE name = ?").bind(name).run() > 0;
    });
}

bool remove_image(const Store& store, const Digest& id) {
    return change(store, [&](sqlite::Database& index) {
        index.prepare("DELETE FROM names WHERE image_id = ?").bind(id).run();
        return index.prepare("DELETE FROM images WHERE id = ?").bind(id).run() > 0;
    });
}

}  // namespace imgbuild::layers
