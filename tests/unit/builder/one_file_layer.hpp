// A layer of one file, as a step leaves it in the store: a tree.
#pragma once

#include "builder/file_system.hpp"
#include "layers/store.hpp"
#include "layers/tree_writer.hpp"
#include "util/bytes.hpp"

#include <memory>
#include <string>

namespace imgbuild::builder::test {

inline LayerPtr one_file_layer(layers::Lease& lease, const std::string& content) {
    layers::UnfinishedLayer unfinished = lease.begin_layer();
    layers::TreeWriter writer(util::RootedDir::open(unfinished.tree()));
    util::MemorySource source(content);
    writer.add_file({.path = "file", .type = layers::EntryType::file, .mode = 0644, .size = content.size()}, source);
    const Digest key = util::Sha256::of(content);
    auto out = std::make_shared<Layer>(key);
    out->id = lease.publish(std::move(unfinished), writer.finish().serialize(), {},
                            layers::KeyRecord{.key = key, .kind = "exec", .slot = "", .ingredients = "{}"});
    return out;
}

}  // namespace imgbuild::builder::test
