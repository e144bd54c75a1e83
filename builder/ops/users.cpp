#include "builder/ops/users.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::builder {
namespace {

std::optional<std::uint32_t> parse_id(std::string_view text) {
    const auto number = util::parse_number(text);
    // The last number means "no change" to the kernel.
    if (!number || *number >= 0xffffffffU) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

Error unknown(std::string_view kind, std::string_view name) {
    const std::string_view file = kind == "user" ? "passwd" : "group";
    return Error({.code = fmt::format("build.unknown-{}", kind),
                  .message = fmt::format("there is no {} {} in the image's /etc/{}", kind, util::quote(name), file),
                  .hint = "add it in an earlier step, or give a number",
                  .where = {}});
}

const PasswdEntry* find_user(const std::vector<PasswdEntry>& users, std::string_view name) {
    const auto by_name =
        std::find_if(users.begin(), users.end(), [&](const PasswdEntry& user) { return user.name == name; });
    if (by_name != users.end()) return &*by_name;
    const auto id = parse_id(name);
    if (!id) return nullptr;
    const auto by_id =
        std::find_if(users.begin(), users.end(), [&](const PasswdEntry& user) { return user.uid == *id; });
    return by_id == users.end() ? nullptr : &*by_id;
}

std::uint32_t resolve_group(std::string_view name, const std::vector<GroupEntry>& groups) {
    const auto at = std::find_if(groups.begin(), groups.end(), [&](const GroupEntry& g) { return g.name == name; });
    if (at != groups.end()) return at->gid;
    if (const auto id = parse_id(name)) return *id;
    throw unknown("group", name);
}

}  // namespace

std::vector<PasswdEntry> parse_passwd(std::string_view text) {
    std::vector<PasswdEntry> out;
    for (const std::string_view line : util::split(text, '\n')) {
        const auto fields = util::split(line, ':');
        if (fields.size() < 4 || fields[0].empty() || line.starts_with('#')) continue;
        const auto uid = parse_id(fields[2]);
        const auto gid = parse_id(fields[3]);
        if (!uid || !gid) continue;
        out.push_back({.name = std::string(fields[0]),
                       .uid = *uid,
                       .gid = *gid,
                       .home = fields.size() > 5 ? std::string(fields[5]) : std::string()});
    }
    return out;
}

std::vector<GroupEntry> parse_group(std::string_view text) {
    std::vector<GroupEntry> out;
    for (const std::string_view line : util::split(text, '\n')) {
        const auto fields = util::split(line, ':');
        if (fields.size() < 3 || fields[0].empty() || line.starts_with('#')) continue;
        const auto gid = parse_id(fields[2]);
        if (!gid) continue;
        GroupEntry group{.name = std::string(fields[0]), .gid = *gid, .members = {}};
        if (fields.size() > 3) {
            for (const std::string_view member : util::split(fields[3], ',')) {
                if (!member.empty()) group.members.emplace_back(member);
            }
        }
        out.push_back(std::move(group));
    }
    return out;
}

ResolvedUser resolve_user(std::string_view user, const std::optional<std::string>& passwd,
                          const std::optional<std::string>& group) {
    if (user.empty()) user = "0";
    const std::size_t colon = user.find(':');
    const std::string_view name = user.substr(0, colon);
    const auto users = parse_passwd(passwd.value_or(""));
    const auto groups = parse_group(group.value_or(""));

    ResolvedUser out;
    const PasswdEntry* entry = find_user(users, name);
    if (entry != nullptr) {
        out.uid = entry->uid;
        out.gid = entry->gid;
        out.home = entry->home;
    } else if (const auto id = parse_id(name)) {
        out.uid = *id;
    } else {
        throw unknown("user", name);
    }
    if (colon != std::string_view::npos && colon + 1 < user.size()) {
        out.gid = resolve_group(user.substr(colon + 1), groups);
        out.groups = {out.gid};
        return out;
    }
    for (const GroupEntry& candidate : groups) {
        if (entry == nullptr) break;
        const auto& members = candidate.members;
        if (std::find(members.begin(), members.end(), entry->name) == members.end()) continue;
        if (candidate.gid != out.gid) out.groups.push_back(candidate.gid);
    }
    std::sort(out.groups.begin(), out.groups.end());
    out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
    out.groups.insert(out.groups.begin(), out.gid);
    return out;
}

}  // namespace imgbuild::builder
