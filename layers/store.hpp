// The content store: everything that imgbuild keeps between builds, under one directory (docs/store-format.md).
//
//   layers/<id>/names   a layer's name index                     index.db   SQLite: what is known about all of it
//   layers/<id>/tree/   the layer unpacked, in overlay form      tmp/       work under way, one directory per lease
//   blobs/sha256/<hex>  blobs by digest                          logs/      whole output of steps, one file each
//   mounts/             cache mounts
//
// Append-only: objects are made under tmp/, renamed into place, and one transaction publishes what is known about them.
// Nothing that has been published is ever changed. So any number of processes may use one store at once, and kill -9 at
// any point leaves finished work and garbage in tmp/, which the next opener sweeps.
//
//     auto store = Store::open(Store::default_root(lookup, geteuid()));
//     Lease lease = store->begin_lease();
//     if (auto hit = lease.find_layer(key)) …                       // pinned by the lease from here on
//     UnfinishedLayer work = lease.begin_layer();                   // tree/ and work/ in tmp/
//     …                                                             // unpack, or run a step on it
//     LayerId id = lease.publish(std::move(work), names.serialize(), facts, record);
//
// A layer that nobody reads the files of needs no tree: it can be published by its blob (publish_packed) and gets a
// tree when somebody asks (add_tree).
//
// A lease stands for one build. What it looks up or publishes is pinned until it ends, so that no clean-up takes it
// away.
//
// Threads: Store and Lease may be used from several threads at once. Everything throws IoError, and Error
// ("store.…") for what only a store can have wrong; a damaged object is CorruptData and no longer found afterwards.
#pragma once

#include <imgbuild/digest.hpp>

#include "util/bytes.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <sys/types.h>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::layers {

/// Names a layer's directory in this store. Random; in no key, in no image.
class LayerId {
public:
    LayerId() = default;
    explicit LayerId(std::string text) : text_(std::move(text)) {}
    /// 32 hexadecimal digits.
    const std::string& text() const { return text_; }
    friend auto operator<=>(const LayerId&, const LayerId&) = default;

private:
    std::string text_;
};

/// What a command took when it was run. Beside the records, and in no key: it decides who runs when, and nothing else.
struct StepCost {
    /// Which command, for builds to come; whoever remembers decides what that means.
    Digest step;
    std::chrono::milliseconds time{0};
    /// Of its largest process, bytes.
    std::uint64_t memory = 0;
};

/// What a layer is the result of. `ingredients` is what the key digests, in a form that people can read.
struct KeyRecord {
    Digest key;
    /// Kind of operation: "exec", "file", "patch", …
    std::string kind;
    /// Which step of a build it is, stable between edits of the file; for finding the nearest relative of a miss.
    std::string slot;
    /// Canonical JSON with a version.
    std::string ingredients;
    /// Remembered with the record; key_records() does not say it.
    std::optional<StepCost> cost = {};
};

struct LayerFacts {
    /// Known only once the layer was packed, or if it came as a blob.
    std::optional<DiffId> diff_id;
    /// Bytes of the uncompressed tar; 0 while unknown.
    std::uint64_t tar_size = 0;
    /// The key that the layer was published under, which is its identity in other keys; keys that were added later are
    /// aliases. Set by publish(), not by its caller; absent for a layer that came as a blob.
    std::optional<Digest> key = {};
};

struct BlobInfo {
    Digest digest;
    std::uint64_t size = 0;
    friend bool operator==(const BlobInfo&, const BlobInfo&) = default;
};

/// A blob that a layer was packed to, or came as.
struct BlobForm {
    BlobInfo blob;
    std::string media_type;
    /// How it was made (layers/codec.hpp), or "pulled" for a blob that came from elsewhere.
    std::string codec_id;
};

/// Where a registry has a layer's blob.
struct RemoteForm {
    /// Domain and path: "docker.io/library/busybox".
    std::string repository;
    BlobInfo blob;
    std::string media_type;
};

/// An image: a config (whose digest is its id), its layers, and names that point to it.
struct ImageRecord {
    Digest id;
    /// JSON bytes, of which `id` is the digest.
    std::string config;
    /// Oldest first.
    std::vector<DiffId> diff_ids;
    /// The image's own time, seconds since 1970.
    std::int64_t created = 0;
    /// Bytes of all uncompressed tars.
    std::uint64_t size = 0;
    /// Names, sorted: normal forms of references. Ignored by put_image().
    std::vector<std::string> names;
};

/// What identifies a file of the user's that was read before. Two equal fingerprints are the same contents.
struct FileFingerprint {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    /// Nanoseconds since 1970.
    std::int64_t mtime = 0;
    std::int64_t ctime = 0;
    friend auto operator<=>(const FileFingerprint&, const FileFingerprint&) = default;
};

/// What is known of the files of one directory of the user's, in the form of layers/known_files.hpp.
struct KnownDirectory {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::string files;
};

/// A directory in tmp/ that becomes a layer or goes away.
class UnfinishedLayer {
public:
    UnfinishedLayer(UnfinishedLayer&&) noexcept = default;
    UnfinishedLayer& operator=(UnfinishedLayer&&) noexcept = default;

    /// Absolute paths; both exist, are empty and have mode 0755.
    std::string tree() const { return directory_.path() + "/tree"; }
    std::string work() const { return directory_.path() + "/work"; }

private:
    friend class Lease;
    explicit UnfinishedLayer(util::TempDir directory) : directory_(std::move(directory)) {}
    util::TempDir directory_;
};

/// Takes the bytes of a blob that is being made. Forgetting it leaves nothing.
class BlobWriter final : public util::Sink {
public:
    BlobWriter(BlobWriter&&) noexcept;
    ~BlobWriter() override;

    void write(std::span<const std::byte> bytes) override;
    /// Publishes; nothing to do if the store has the blob already. Throws CorruptData if `expected` says otherwise, and
    /// then keeps nothing. Call once.
    BlobInfo commit(const std::optional<BlobInfo>& expected = {});

private:
    friend class Lease;
    struct State;
    explicit BlobWriter(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// What publish() does when the key has a layer already.
enum class OnConflict {
    /// Somebody else was first: theirs is as good.
    keep,
    /// The cache was not wanted: the key leads to the new layer from now on.
    replace,
};

/// One build's hold on the store; see above. Movable. Ends with its destruction or its process.
class Lease {
public:
    Lease(Lease&&) noexcept;
    ~Lease();

    // Layers.
    UnfinishedLayer begin_layer();
    /// Returns the layer that the key leads to afterwards; with OnConflict::keep that may be an earlier one, and this
    /// one is dropped.
    LayerId publish(UnfinishedLayer layer, std::string_view names, const LayerFacts& facts,
                    const std::optional<KeyRecord>& record, OnConflict on_conflict = OnConflict::keep);
    /// A layer without a tree: `form` says by which blob it lives, which the store has. `facts` must have the diff id.
    LayerId publish_packed(std::string_view names, const LayerFacts& facts, const BlobForm& form,
                           const KeyRecord& record, OnConflict on_conflict = OnConflict::keep);
    bool has_tree(const LayerId& layer);
    /// The tree of a layer that has none, and the names as that tree has them. If somebody else was first, this one is
    /// dropped.
    void add_tree(const LayerId& layer, UnfinishedLayer tree, std::string_view names);
    std::optional<LayerId> find_layer(const Digest& key);
    std::optional<LayerId> find_layer(const DiffId& diff_id);
    /// One more key for a layer. As with publish().
    void add_key(const KeyRecord& record, const LayerId& layer, OnConflict on_conflict = OnConflict::keep);
    LayerFacts facts(const LayerId& layer);
    void set_diff_id(const LayerId& layer, const DiffId& diff_id, std::uint64_t tar_size);
    /// Absolute path of the layer's tree, if it has one.
    std::string tree_path(const LayerId& layer) const;
    /// The layer's name index, as publish() or add_tree() got it.
    std::string read_names(const LayerId& layer) const;
    /// Records of a slot, newest first.
    std::vector<KeyRecord> key_records(std::string_view slot, std::size_t limit);

    // Blobs.
    BlobWriter begin_blob();
    /// For bytes that the caller hashes himself: commit() must be told what they are, and only counts them. Room for
    /// `at_least` bytes is made at once, if the store has a limit, so that what cannot fit is not begun.
    BlobWriter begin_hashed_blob(std::uint64_t at_least = 0);
    /// For bytes whose source proves them to be `blob` (oci::BlobSource): they are counted and not hashed once more.
    /// To be committed only if it did.
    BlobWriter begin_proven_blob(const BlobInfo& blob);
    std::optional<BlobInfo> find_blob(const Digest& digest);
    /// Verified while it is read; what this process wrote is so already, and its proof() has a file to copy from.
    /// Throws CorruptData if the store does not have it.
    std::unique_ptr<util::Source> open_blob(const BlobInfo& blob);
    /// For who reads parts of a blob that this store made: its file, not verified. Throws as open_blob().
    util::Fd open_blob_file(const BlobInfo& blob);
    void record_form(const DiffId& diff_id, const BlobForm& form);
    /// The form made by `codec_id`, if its blob is still there; with an empty codec id any form, "pulled" first.
    std::optional<BlobForm> find_form(const DiffId& diff_id, std::string_view codec_id);

    // Images.
    void put_image(const ImageRecord& image, const std::vector<std::string>& names);

    /// A place for a step's output, unique: logs/<time>-<lease>/<name>. The directory exists.
    std::string log_path(std::string_view name);

    /// Waits until no other build makes `key`, then holds it; so that nobody does the same work twice.
    /// Throws Cancelled.
    util::FileLock claim(const Digest& key, std::stop_token stop);

private:
    friend class Store;
    friend class BlockTable;
    struct State;
    explicit Lease(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct StoreOptions {
    /// Bytes of the disk that the store may take (docs/store-format.md, "Limit"); 0: as many as there are. Who
    /// publishes more makes room first, by what has not been used for longest and nobody holds; where that does not
    /// suffice, Lease throws Error ("resources.store-limit").
    std::uint64_t limit = 0;
};

class Store : public std::enable_shared_from_this<Store> {
public:
    /// Makes the store if there is none, and sweeps what dead processes left. A store of an earlier version is brought
    /// to this one. Throws Error: "store.too-new" for a store that a later version made, "store.network" for a place
    /// whose locks cannot be relied on; IoError with the path.
    static std::shared_ptr<Store> open(const std::string& root, const StoreOptions& options = {});
    /// $IMGBUILD_ROOT, else /var/lib/imgbuild for root, else $XDG_DATA_HOME/imgbuild or ~/.local/share/imgbuild. Pure.
    /// Throws UsageError ("usage.no-store") if there is no home either.
    static std::string default_root(const std::function<std::optional<std::string>(const char*)>& environment,
                                    uid_t uid);
    ~Store();

    const std::string& root() const;
    Lease begin_lease();

    // Images. Names are normal forms of references.
    /// By name, or by a prefix of the id of at least 4 digits (with or without "sha256:"). Throws UsageError
    /// ("usage.ambiguous-image") if several ids begin so.
    std::optional<ImageRecord> find_image(std::string_view name_or_id);
    /// Newest first.
    std::vector<ImageRecord> list_images();
    void tag(const Digest& image, const std::string& name);
    /// For layers of an image that the store has in no other form. Kept as long as an image has the layer.
    void remember_remote(const DiffId& diff_id, const RemoteForm& remote);
    std::optional<RemoteForm> find_remote(const DiffId& diff_id);

    // Checksums of the user's files. Files that changed within the timestamps' granularity before they were read are
    // not remembered, since a later change could leave no trace.
    std::vector<std::optional<Digest>> find_checksums(const std::vector<FileFingerprint>& files);
    /// `read_at`: when reading began, nanoseconds since 1970.
    void remember_checksums(const std::vector<std::pair<FileFingerprint, Digest>>& files, std::int64_t read_at);

    /// The same for whole directories, in one piece each: what remember_directories() got last; empty if that was
    /// nothing. Neither looks at what it says (layers/known_files.hpp).
    std::string find_directory(std::uint64_t device, std::uint64_t inode);
    void remember_directories(const std::vector<KnownDirectory>& directories);

    /// What the commands took the last time, each in its place; nothing for those that are not known (any more).
    std::vector<std::optional<StepCost>> find_costs(const std::vector<Digest>& steps);

    /// Everything so far survives a loss of power once this returns (syncfs).
    void sync();
    /// For the end of a build: sync(), if this machine has so little to write that it costs next to nothing. Otherwise
    /// a later call covers it; until then a loss of power costs work, and never makes a wrong image.
    void settle();

private:
    struct State;
    explicit Store(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace imgbuild::layers
