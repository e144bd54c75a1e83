#include "layers/store.hpp"

#include <imgbuild/error.hpp>

#include "layers/fingerprint.hpp"
#include "layers/store_access.hpp"
#include "layers/store_limit.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>

namespace imgbuild::layers {

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}

Store::~Store() = default;

std::shared_ptr<Store> Store::open(const std::string& root, const StoreOptions& options) {
    auto data = std::make_shared<StoreData>(absolute_root(root), options);
    sweep(*data);
    return std::shared_ptr<Store>(new Store(std::make_unique<State>(std::move(data))));
}

std::string Store::default_root(const std::function<std::optional<std::string>(const char*)>& environment, uid_t uid) {
    // An empty variable counts as none, as the XDG specification has it for its own.
    const auto value = [&](const char* name) { return environment(name).value_or(""); };
    if (std::string root = value("IMGBUILD_ROOT"); !root.empty()) return root;
    if (uid == 0) return "/var/lib/imgbuild";
    // The same specification has relative paths ignored.
    if (const std::string data = value("XDG_DATA_HOME"); data.starts_with('/')) return data + "/imgbuild";
    if (const std::string home = value("HOME"); home.starts_with('/')) return home + "/.local/share/imgbuild";
    throw UsageError({.code = "usage.no-store",
                      .message = "there is no place for the store: HOME is not set",
                      .hint = "set IMGBUILD_ROOT or --root",
                      .where = {}});
}

const std::string& Store::root() const {
    return state_->data->root();
}

Lease Store::begin_lease() {
    // A build that needs no room finds some all the same, so it begins even if images alone take too much.
    enforce_limit(*state_->data);
    return Lease(std::make_unique<Lease::State>(std::make_shared<LeaseHold>(state_->data)));
}

namespace {

constexpr std::size_t kShortestPrefix = 4;
constexpr std::size_t kDigestDigits = 64;

// "beef" as "beef000…" or "beeffff…": the first and the last digest that begin so.
std::optional<Digest> complete(std::string_view prefix, char filler) {
    std::string text = "sha256:" + std::string(prefix);
    text.resize(std::string_view("sha256:").size() + kDigestDigits, filler);
    return Digest::parse(text);
}

std::optional<Digest> find_by_prefix(Tables& tables, std::string_view text) {
    std::string_view prefix = text;
    if (prefix.starts_with("sha256:")) prefix.remove_prefix(7);
    if (prefix.size() < kShortestPrefix || prefix.size() > kDigestDigits) return std::nullopt;
    const auto first = complete(prefix, '0');
    const auto last = complete(prefix, 'f');
    if (!first || !last) return std::nullopt;
    const auto ids = tables.image_ids(*first, *last, 2);
    if (ids.empty()) return std::nullopt;
    if (ids.size() > 1) {
        throw UsageError({.code = "usage.ambiguous-image",
                          .message = fmt::format("the ids of several images begin with {}", util::quote(prefix)),
                          .hint = "give more digits of the id",
                          .where = {}});
    }
    return ids.front();
}

}  // namespace

std::optional<ImageRecord> Store::find_image(std::string_view name_or_id) {
    return state_->data->index().read([&](Tables& tables) -> std::optional<ImageRecord> {
        auto id = tables.image_of_name(name_or_id);
        if (!id) id = find_by_prefix(tables, name_or_id);
        return id ? tables.image(*id) : std::nullopt;
    });
}

std::vector<ImageRecord> Store::list_images() {
    return state_->data->index().read([](Tables& tables) {
        std::vector<ImageRecord> out;
        for (const Digest& id : tables.all_images()) {
            // Another process may have removed it since.
            if (auto image = tables.image(id)) out.push_back(std::move(*image));
        }
        return out;
    });
}

void Store::tag(const Digest& image, const std::string& name) {
    state_->data->index().write([&](Tables& tables) {
        if (!tables.has_image(image)) {
            throw Error({.code = "store.unknown-image",
                         .message = fmt::format("the store has no image {}", image.text()),
                         .hint = {},
                         .where = {}});
        }
        tables.put_name(name, image);
    });
}

void Store::remember_remote(const DiffId& diff_id, const RemoteForm& remote) {
    state_->data->index().write([&](Tables& tables) { tables.put_remote(diff_id, remote); });
}

std::optional<RemoteForm> Store::find_remote(const DiffId& diff_id) {
    return state_->data->index().read([&](Tables& tables) { return tables.remote(diff_id); });
}

std::vector<std::optional<StepCost>> Store::find_costs(const std::vector<Digest>& steps) {
    return state_->data->index().read([&](Tables& tables) {
        std::vector<std::optional<StepCost>> out;
        out.reserve(steps.size());
        for (const Digest& step : steps) out.push_back(tables.cost(step));
        return out;
    });
}

std::vector<std::optional<Digest>> Store::find_checksums(const std::vector<FileFingerprint>& files) {
    return state_->data->index().write([&](Tables& tables) {
        std::vector<std::optional<Digest>> out;
        out.reserve(files.size());
        for (const FileFingerprint& file : files) out.push_back(tables.checksum(file));
        return out;
    });
}

std::string Store::find_directory(std::uint64_t device, std::uint64_t inode) {
    return state_->data->index().read([&](Tables& tables) { return tables.known_directory(device, inode); });
}

void Store::remember_directories(const std::vector<KnownDirectory>& directories) {
    state_->data->index().write([&](Tables& tables) {
        for (const KnownDirectory& directory : directories) tables.put_known_directory(directory);
    });
}

void Store::remember_checksums(const std::vector<std::pair<FileFingerprint, Digest>>& files, std::int64_t read_at) {
    state_->data->index().write([&](Tables& tables) {
        for (const auto& file : files) {
            if (would_show_a_change(file.first, read_at)) tables.put_checksum(file.first, file.second);
        }
    });
}

}  // namespace imgbuild::layers
