#include "builder/ops/keys.hpp"

#include "util/overloaded.hpp"
#include "util/text.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace imgbuild::builder {
namespace {

using nlohmann::json;
using util::overloaded;

constexpr int kRecipe = 1;

// JSON holds text, and names are bytes: what is no UTF-8 is written in hexadecimal behind a NUL, which no name has, so
// that two different names never look alike.
std::string text_of(std::string_view bytes) {
    if (util::is_valid_utf8(bytes)) return std::string(bytes);
    std::string out(1, '\0');
    for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

json texts_of(const std::vector<std::string>& list) {
    json out = json::array();
    for (const std::string& text : list) out.push_back(text_of(text));
    return out;
}

json layers_json(const FileSystem& fs) {
    json out = json::array();
    for (const LayerPtr& layer : fs.layers) out.push_back(layer->identity.text());
    return out;
}

json time_json(const FileSystem& base, const KeyContext& context) {
    json out = {{"from", base.next_time()}};
    if (context.time_limit) out["limit"] = *context.time_limit;
    return out;
}

layers::KeyRecord record_of(const json& ingredients, std::string kind, const KeyContext& context) {
    layers::KeyRecord out;
    out.ingredients = ingredients.dump();
    out.key = util::Sha256::of(out.ingredients);
    out.kind = std::move(kind);
    out.slot = context.slot;
    return out;
}

json source_json(const SourceIdentity& source) {
    if (source.checksum) return {{"checksum", source.checksum->text()}};
    json list = json::array();
    for (const Digest& layer : source.layers) list.push_back(layer.text());
    return {{"layers", std::move(list)}};
}

json owner_json(const std::optional<OwnerText>& owner) {
    return owner ? json(text_of(owner->user + ":" + owner->group)) : json(nullptr);
}

json action_json(const FileAction& action) {
    return std::visit(overloaded{
                          [](const CopyFiles& copy) -> json {
                              return {{"do", "copy"},
                                      {"sources", texts_of(copy.sources)},
                                      {"to", text_of(copy.destination)},
                                      {"owner", owner_json(copy.owner)},
                                      {"mode", copy.mode},
                                      {"excludes", texts_of(copy.excludes)},
                                      {"unpack", copy.unpack_archives},
                                      {"parents", copy.parents}};
                          },
                          [](const MakeDirectory& make) -> json {
                              return {{"do", "mkdir"},
                                      {"to", text_of(make.path)},
                                      {"owner", owner_json(make.owner)},
                                      {"mode", make.mode}};
                          },
                          [](const MakeFile& make) -> json {
                              return {{"do", "mkfile"},
                                      {"to", text_of(make.destination)},
                                      {"name", text_of(make.name)},
                                      {"content", util::Sha256::of(make.content).text()},
                                      {"owner", owner_json(make.owner)},
                                      {"mode", make.mode}};
                          },
                      },
                      action);
}

json look_json(std::uint32_t mode, std::uint32_t uid, std::uint32_t gid) {
    return {{"mode", mode}, {"uid", uid}, {"gid", gid}};
}

json mount_json(const ExecMount& mount) {
    return std::visit(overloaded{
                          [](const BindMount& bind) -> json {
                              return {{"type", "bind"},
                                      {"source", text_of(bind.source)},
                                      {"to", text_of(bind.target)},
                                      {"writable", bind.writable}};
                          },
                          [](const CacheMount& cache) -> json {
                              return {{"type", "cache"},
                                      {"id", text_of(cache.id)},
                                      {"source", text_of(cache.source)},
                                      {"to", text_of(cache.target)},
                                      {"sharing", name_of(cache.sharing)},
                                      {"readonly", cache.read_only},
                                      {"look", look_json(cache.mode, cache.uid, cache.gid)}};
                          },
                          [](const TmpfsMount& tmpfs) -> json {
                              return {{"type", "tmpfs"}, {"to", text_of(tmpfs.target)}, {"size", tmpfs.size}};
                          },
                          [](const SecretMount& secret) -> json {
                              return {{"type", "secret"},
                                      {"id", text_of(secret.id)},
                                      {"to", text_of(secret.target)},
                                      {"env", text_of(secret.env)},
                                      {"required", secret.required},
                                      {"look", look_json(secret.mode, secret.uid, secret.gid)}};
                          },
                          [](const SshMount& ssh) -> json {
                              return {{"type", "ssh"},
                                      {"id", text_of(ssh.id)},
                                      {"to", text_of(ssh.target)},
                                      {"required", ssh.required},
                                      {"look", look_json(ssh.mode, ssh.uid, ssh.gid)}};
                          },
                      },
                      mount);
}

// Fields are separated by NUL and counted where they repeat, so that no two entries have the same bytes. There may be a
// million entries, so what is hashed is collected to pieces worth a call.
class FieldHash {
public:
    void add(std::string_view field) {
        pending_.append(field.data(), field.data() + field.size());
        end();
    }

    template <class Format, class... Args>
    void add_formatted(const Format& format, const Args&... args) {
        fmt::format_to(std::back_inserter(pending_), format, args...);
        end();
    }

    void add(const Digest& digest) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        for (const std::uint8_t byte : digest.bytes()) {
            pending_.push_back(kDigits[byte >> 4]);
            pending_.push_back(kDigits[byte & 15]);
        }
        end();
    }

    void add(const layers::Entry& entry) {
        add(entry.path);
        add_formatted(FMT_COMPILE("{} {:o} {} {} {} {}:{} {}"), static_cast<int>(entry.type), entry.mode, entry.uid,
                      entry.gid, entry.size, entry.dev_major, entry.dev_minor, entry.xattrs.size());
        add(entry.link_target);
        for (const auto& xattr : entry.xattrs) {
            add(xattr.first);
            add_formatted(FMT_COMPILE("{}"), xattr.second.size());
            add(xattr.second);
        }
    }

    Digest digest() {
        flush();
        return hash_.digest();
    }

private:
    void end() {
        constexpr std::size_t kWorthACall = 32U << 10;
        pending_.push_back('\0');
        if (pending_.size() >= kWorthACall) flush();
    }
    void flush() {
        hash_.update(std::string_view(pending_.data(), pending_.size()));
        pending_.clear();
    }

    util::Sha256 hash_;
    fmt::memory_buffer pending_;
};

// Names of one file share a number, by first appearance: that two files are one is part of what is copied.
class LinkNumbers {
public:
    std::size_t of(const SourceFileInfo& file) {
        if (!file.link_group || file.entry.type != layers::EntryType::file) return 0;
        return numbers_.try_emplace(*file.link_group, numbers_.size() + 1).first->second;
    }

private:
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> numbers_;
};

}  // namespace

layers::KeyRecord exec_key(const Exec& exec, const FileSystem& base, const KeyContext& context,
                           const std::vector<SourceIdentity>& sources) {
    json ingredients = {{"v", kRecipe},
                        {"op", "exec"},
                        {"args", texts_of(exec.args)},
                        {"env", texts_of(exec.env)},
                        {"workdir", text_of(exec.workdir)},
                        {"user", text_of(exec.user)},
                        {"network", exec.network == Network::host ? "host" : "none"},
                        {"platform", context.platform.text()},
                        {"base", layers_json(base)},
                        {"time", time_json(base, context)}};
    for (std::size_t i = 0; i < exec.mounts.size(); ++i) {
        json mount = mount_json(exec.mounts[i]);
        if (source_of(exec.mounts[i])) mount["from"] = source_json(sources.at(i));
        ingredients["mounts"].push_back(std::move(mount));
    }
    for (const Script& script : exec.scripts) {
        ingredients["scripts"].push_back({text_of(script.name), util::Sha256::of(script.text).text()});
    }
    for (const auto& host : exec.hosts) ingredients["hosts"].push_back({text_of(host.first), host.second});
    for (const Ulimit& limit : exec.ulimits) ingredients["ulimits"].push_back({limit.name, limit.soft, limit.hard});
    if (exec.shm_size != 0) ingredients["shm"] = exec.shm_size;
    if (exec.security == Security::insecure) ingredients["security"] = "insecure";
    return record_of(ingredients, "exec", context);
}

Digest cache_identity(const CacheMount& cache, const FileSystem& seed) {
    json ingredients = {
        {"v", kRecipe}, {"id", text_of(cache.id)}, {"look", look_json(cache.mode, cache.uid, cache.gid)}};
    if (cache.from) ingredients["seed"] = {layers_json(seed), text_of(cache.source)};
    return util::Sha256::of(ingredients.dump());
}

std::vector<const SourceFileInfo*> files_of(const Selection& selection) {
    std::vector<const SourceFileInfo*> out;
    const auto add = [&out](const SourceFileInfo& file) {
        if (file.entry.type == layers::EntryType::file) out.push_back(&file);
    };
    for (const SelectedRoot& root : selection.roots) {
        add(root.self);
        for (const SourceFileInfo& file : root.below) add(file);
    }
    return out;
}

Digest selection_checksum(const Selection& selection, const std::vector<Digest>& contents, FileTimes times) {
    FieldHash hash;
    LinkNumbers links;
    std::size_t next = 0;
    const auto add = [&](const SourceFileInfo& file) {
        hash.add(file.entry);
        hash.add_formatted(FMT_COMPILE("{}"), links.of(file));
        if (times == FileTimes::included) hash.add_formatted(FMT_COMPILE("{}"), file.entry.mtime);
        if (file.entry.type == layers::EntryType::file) hash.add(contents.at(next++));
    };
    for (const SelectedRoot& root : selection.roots) {
        hash.add(root.name);
        hash.add_formatted(FMT_COMPILE("{}"), root.below.size());
        add(root.self);
        for (const SourceFileInfo& file : root.below) add(file);
    }
    return hash.digest();
}

layers::KeyRecord file_definition_key(const File& file, const std::vector<SourceIdentity>& sources,
                                      const FileSystem& base, const std::optional<FileSystem>& users,
                                      const KeyContext& context) {
    json actions = json::array();
    for (std::size_t i = 0; i < file.actions.size(); ++i) {
        json action = action_json(file.actions[i]);
        action["source"] = source_json(sources.at(i));
        actions.push_back(std::move(action));
    }
    json ingredients = {{"v", kRecipe},
                        {"op", "file"},
                        {"actions", std::move(actions)},
                        {"base", layers_json(base)},
                        {"time", time_json(base, context)}};
    if (users) ingredients["users"] = layers_json(*users);
    return record_of(ingredients, "file", context);
}

layers::KeyRecord file_content_key(const Placement& placement, const std::vector<SourceIdentity>& sources,
                                   const FileSystem& base, const KeyContext& context) {
    FieldHash hash;
    bool unpacks = false;
    for (const PlacedEntry& placed : placement.entries) {
        hash.add(placed.entry);
        std::visit(overloaded{
                       [&](std::monostate) { hash.add("-"); },
                       [&](const FromSource& from) {
                           hash.add_formatted(FMT_COMPILE("source {} {}"), from.action, from.file->entry.path);
                       },
                       [&](const FromText& from) { hash.add("text " + util::Sha256::of(from.text).hex()); },
                       [&](const FromArchive& from) {
                           unpacks = true;
                           hash.add_formatted(FMT_COMPILE("archive {} {}"), from.action, from.file->entry.path);
                       },
                   },
                   placed.content);
    }
    json list = json::array();
    for (const SourceIdentity& source : sources) list.push_back(source_json(source));
    json ingredients = {{"v", kRecipe},
                        {"op", "place"},
                        {"placement", hash.digest().text()},
                        {"sources", std::move(list)},
                        {"time", time_json(base, context)}};
    // The entries of an archive meet the links of the base while they are unpacked.
    if (unpacks) ingredients["base"] = layers_json(base);
    return record_of(ingredients, "file", context);
}

}  // namespace imgbuild::builder
