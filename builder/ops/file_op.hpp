// Carrying out File nodes: COPY, ADD, WORKDIR.
#pragma once

#include "builder/context/kept_contents.hpp"
#include "builder/context/source_tree.hpp"
#include "builder/forms_read.hpp"
#include "builder/layer_forms.hpp"
#include "builder/ops/keys.hpp"
#include "builder/secrets.hpp"
#include "builder/work.hpp"
#include "layers/codec.hpp"

#include <memory>
#include <vector>

namespace imgbuild::builder {

/// Where an action's files come from. Exactly one of the two is set for a CopyFiles, none for other actions.
struct ActionSource {
    /// A directory of the user's.
    std::shared_ptr<const SourceTree> local;
    /// Another node's result.
    std::optional<FileSystem> fs;
};

/// What a File node stands on and reads from.
struct FileInputs {
    FileSystem base;
    /// Where names of owners are looked up, if not in `base` (File::users).
    std::optional<FileSystem> users;
    /// One per action.
    std::vector<ActionSource> sources;
};

enum class CacheUse { read_and_write, write };
inline layers::OnConflict on_conflict(CacheUse use) {
    return use == CacheUse::write ? layers::OnConflict::replace : layers::OnConflict::keep;
}

/// A layer, and how it came about.
struct LayerResult {
    LayerPtr layer;
    bool cached = false;
    /// One sentence, for people: why it was found or not.
    std::string reason;
};

class Scaffolds;  // builder/ops/scaffold.hpp

struct OpContext {
    LayerForms& forms;
    layers::Store& store;
    Scaffolds& scaffolds;
    KeptRoom& kept_room;
    KeyContext keys;
    CacheUse cache = CacheUse::read_and_write;
    unsigned threads = 1;
    /// What is done with a new layer of the node. One that is only packed is made as a blob by `codec`.
    Reading reading = Reading::as_tree;
    layers::Codec codec = {};
    /// For secrets and agents. Null: nobody answers.
    const Confidants* confidants = nullptr;
    /// Under which name it is remembered what a command took; nothing: it is not.
    std::optional<Digest> step = {};
    /// Returns when a command may run, beside those that do. Throws Cancelled. Empty: at once.
    std::function<void(const std::stop_token&)> await_turn = {};
};

LayerResult carry_out(const File& file, const FileInputs& inputs, const OpContext& context, const Work& work);

}  // namespace imgbuild::builder
