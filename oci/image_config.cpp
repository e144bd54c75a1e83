#include "oci/image_config.hpp"

#include "oci/json_object.hpp"
#include "oci/platform_parts.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace imgbuild::oci {
namespace {

using nlohmann::json;

constexpr std::string_view kCode = "corrupt.image-config";
// docker itself refuses beyond 127 layers, but history counts every instruction of every base.
constexpr std::size_t kMaxConfigLayers = 4096;
constexpr std::size_t kMaxHistory = 16384;

// Reading -------------------------------------------------------------------------------------------------------------

JsonObject reader(const json& value, std::string what) {
    return JsonObject(value, std::move(what), std::string(kCode));
}

std::optional<Timestamp> read_time(JsonObject& object, std::string_view name) {
    if (!object.has(name)) return std::nullopt;
    const std::string text = object.text(name);
    const auto time = parse_time(text);
    if (!time) object.fail(fmt::format("'{}' is not a time: {}", name, util::quote(text)));
    return time;
}

Healthcheck read_healthcheck(const json& value) {
    JsonObject object = reader(value, "the image's config, Healthcheck");
    Healthcheck out;
    out.test = object.strings("Test").value_or(std::vector<std::string>{});
    out.interval = object.integer("Interval");
    out.timeout = object.integer("Timeout");
    out.start_period = object.integer("StartPeriod");
    out.start_interval = object.integer("StartInterval");
    out.retries = object.integer("Retries");
    out.extra = object.rest();
    return out;
}

std::vector<std::string> read_environment(JsonObject& object) {
    auto env = object.strings("Env").value_or(std::vector<std::string>{});
    for (const std::string& variable : env) {
        if (!variable.contains('=')) object.fail(fmt::format("{} in 'Env' has no '='", util::quote(variable)));
    }
    return env;
}

RunConfig read_run_config(const json& value) {
    JsonObject object = reader(value, "the image's config");
    RunConfig out;
    out.user = object.text("User");
    out.exposed_ports = object.key_set("ExposedPorts");
    out.env = read_environment(object);
    out.entrypoint = object.strings("Entrypoint");
    out.cmd = object.strings("Cmd");
    out.volumes = object.key_set("Volumes");
    out.working_dir = object.text("WorkingDir");
    out.labels = object.string_map("Labels");
    out.stop_signal = object.text("StopSignal");
    out.args_escaped = object.flag("ArgsEscaped");
    if (const json* healthcheck = object.object("Healthcheck")) out.healthcheck = read_healthcheck(*healthcheck);
    out.shell = object.strings("Shell").value_or(std::vector<std::string>{});
    out.on_build = object.strings("OnBuild").value_or(std::vector<std::string>{});
    out.extra = object.rest();
    return out;
}

HistoryEntry read_history_entry(const json& value) {
    JsonObject object = reader(value, "the image's history");
    HistoryEntry out;
    out.created = read_time(object, "created");
    out.created_by = object.text("created_by");
    out.author = object.text("author");
    out.comment = object.text("comment");
    out.empty_layer = object.flag("empty_layer");
    out.extra = object.rest();
    return out;
}

std::vector<DiffId> read_diff_ids(const json& value) {
    JsonObject object = reader(value, "the image's rootfs");
    if (object.required_text("type") != "layers") object.fail("'type' must be \"layers\"");
    // Docker writes null for an image without layers.
    if (object.array("diff_ids", kMaxConfigLayers) == nullptr) return {};
    std::vector<DiffId> out;
    for (const std::string& text : object.strings("diff_ids").value_or(std::vector<std::string>{})) {
        out.emplace_back(Digest::require(text, fmt::format("layer {} of the image's rootfs", out.size())));
    }
    return out;
}

Platform read_platform(JsonObject& object) {
    const std::string os = object.required_text("os");
    const std::string architecture = object.required_text("architecture");
    return normalized_platform(os, architecture, object.text("variant"), object.text("os.version"));
}

// Writing -------------------------------------------------------------------------------------------------------------

void put_text(json& out, const char* name, const std::string& text) {
    if (!text.empty()) out[name] = text;
}

void put_number(json& out, const char* name, std::int64_t number) {
    if (number != 0) out[name] = number;
}

void put_list(json& out, const char* name, const std::vector<std::string>& list) {
    if (!list.empty()) out[name] = list;
}

void put_set(json& out, const char* name, const std::set<std::string, std::less<>>& keys) {
    for (const std::string& key : keys) out[name][key] = json::object();
}

// Ours win: an unknown member that has since become a known one must not come back from an old record.
void put_extra(json& out, const ExtraMembers& extra) {
    for (const auto& member : extra) {
        if (!out.contains(member.first)) out[member.first] = json::parse(member.second);
    }
}

json healthcheck_to_json(const Healthcheck& healthcheck) {
    json out = json::object();
    put_list(out, "Test", healthcheck.test);
    put_number(out, "Interval", healthcheck.interval);
    put_number(out, "Timeout", healthcheck.timeout);
    put_number(out, "StartPeriod", healthcheck.start_period);
    put_number(out, "StartInterval", healthcheck.start_interval);
    put_number(out, "Retries", healthcheck.retries);
    put_extra(out, healthcheck.extra);
    return out;
}

json run_config_to_json(const RunConfig& config) {
    json out = json::object();
    put_text(out, "User", config.user);
    put_set(out, "ExposedPorts", config.exposed_ports);
    put_list(out, "Env", config.env);
    if (config.entrypoint) out["Entrypoint"] = *config.entrypoint;
    if (config.cmd) out["Cmd"] = *config.cmd;
    put_set(out, "Volumes", config.volumes);
    put_text(out, "WorkingDir", config.working_dir);
    if (!config.labels.empty()) out["Labels"] = config.labels;
    put_text(out, "StopSignal", config.stop_signal);
    if (config.args_escaped) out["ArgsEscaped"] = true;
    if (config.healthcheck) out["Healthcheck"] = healthcheck_to_json(*config.healthcheck);
    put_list(out, "Shell", config.shell);
    put_list(out, "OnBuild", config.on_build);
    put_extra(out, config.extra);
    return out;
}

json history_to_json(const std::vector<HistoryEntry>& history) {
    json out = json::array();
    for (const HistoryEntry& entry : history) {
        json& item = out.emplace_back(json::object());
        if (entry.created) item["created"] = format_time(*entry.created);
        put_text(item, "created_by", entry.created_by);
        put_text(item, "author", entry.author);
        put_text(item, "comment", entry.comment);
        if (entry.empty_layer) item["empty_layer"] = true;
        put_extra(item, entry.extra);
    }
    return out;
}

json rootfs_to_json(const std::vector<DiffId>& diff_ids) {
    json list = json::array();
    for (const DiffId& diff_id : diff_ids) list.push_back(diff_id.text());
    return {{"type", "layers"}, {"diff_ids", std::move(list)}};
}

}  // namespace

std::string ImageConfig::to_json() const {
    json out = json::object();
    if (created) out["created"] = format_time(*created);
    put_text(out, "author", author);
    out["architecture"] = platform.architecture;
    out["os"] = platform.os;
    put_text(out, "variant", platform.variant);
    put_text(out, "os.version", platform.os_version);
    put_list(out, "os.features", os_features);
    out["config"] = run_config_to_json(config);
    out["rootfs"] = rootfs_to_json(diff_ids);
    if (!history.empty()) out["history"] = history_to_json(history);
    put_extra(out, extra);
    return canonical_json(out);
}

ImageConfig parse_image_config(std::string_view text) {
    const json document = parse_json(text, kMaxConfigBytes, "the image's config", kCode);
    JsonObject object = reader(document, "the image's config");
    ImageConfig out;
    out.created = read_time(object, "created");
    out.author = object.text("author");
    out.platform = read_platform(object);
    out.os_features = object.strings("os.features").value_or(std::vector<std::string>{});
    if (const json* config = object.object("config")) out.config = read_run_config(*config);
    const json* rootfs = object.object("rootfs");
    if (rootfs == nullptr) object.fail("'rootfs' is missing");
    out.diff_ids = read_diff_ids(*rootfs);
    if (const json* history = object.array("history", kMaxHistory)) {
        for (const json& entry : *history) out.history.push_back(read_history_entry(entry));
    }
    out.extra = object.rest();
    return out;
}

}  // namespace imgbuild::oci
