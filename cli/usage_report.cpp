#include "cli/usage_report.hpp"

#include "oci/time.hpp"
#include "util/text.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>

namespace imgbuild::cli {
namespace {

using layers::ObjectKind;
using layers::StoredObject;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array kKinds = {ObjectKind::image, ObjectKind::layer, ObjectKind::blob, ObjectKind::mount,
                               ObjectKind::log};
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMaxDescription = 60;

std::string text_of(std::int64_t time) {
    return time <= 0 ? "-" : oci::format_time({.seconds = time / kSecond, .nanoseconds = 0});
}

std::string brief_id(const StoredObject& object) {
    constexpr std::size_t kBrief = 12;
    if (object.kind == ObjectKind::log) return object.id;
    std::string_view id = object.id;
    if (id.starts_with("sha256:")) id.remove_prefix(7);
    const std::size_t slash = id.find('/');
    const std::string number(slash == std::string_view::npos ? "" : id.substr(slash));
    return std::string(id.substr(0, kBrief)) + number;
}

std::string in_one_line(const std::string& text) {
    std::string out;
    for (const char c : text.substr(0, kMaxDescription)) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    // A character may have been cut in two.
    while (!out.empty() && !util::is_valid_utf8(out)) out.pop_back();
    return text.size() > kMaxDescription ? out + "…" : out;
}

std::string text_at(const json& object, const char* name) {
    const auto at = object.find(name);
    return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

// Keys are ours, but the store may be a later imgbuild's or damaged: what is not as expected is left out.
std::string describe_command(const json& key) {
    const auto args = key.find("args");
    if (args == key.end() || !args->is_array() || args->empty()) return "RUN";
    const bool shell = args->size() > 1 && (*args)[args->size() - 2] == "-c";
    std::string out = "RUN";
    for (auto arg = shell ? args->end() - 1 : args->begin(); arg != args->end(); ++arg) {
        if (arg->is_string()) out += " " + arg->get<std::string>();
    }
    return out;
}

std::string describe_files(const json& key) {
    const auto actions = key.find("actions");
    if (actions == key.end() || !actions->is_array() || actions->empty()) return "COPY";
    const json& action = actions->front();
    if (!action.is_object()) return "COPY";
    if (text_at(action, "do") == "mkdir") return "WORKDIR " + text_at(action, "to");
    std::string out = "COPY";
    if (const auto sources = action.find("sources"); sources != action.end() && sources->is_array()) {
        for (const json& source : *sources) {
            if (source.is_string()) out += " " + source.get<std::string>();
        }
    }
    return out + " " + text_at(action, "to");
}

std::string describe_layer(const StoredObject& layer) {
    const json key = json::parse(layer.ingredients, nullptr, false);
    if (layer.what == "exec" && key.is_object()) return describe_command(key);
    if (layer.what == "file" && key.is_object()) return describe_files(key);
    if (layer.what == "patch") return "directories of a base";
    return layer.what.empty() ? "pulled" : layer.what;
}

std::string familiar(const std::string& name) {
    try {
        return Reference::parse(name).familiar();
    } catch (const Error&) {
        return name;
    }
}

struct Table {
    /// The first row is the head. Columns from `numbers` on, up to `texts`, are aligned to the right.
    std::vector<std::vector<std::string>> rows;
    std::size_t numbers = 1;
    std::size_t texts = 1;

    std::string text() const {
        std::vector<std::size_t> widths(rows.front().size());
        for (const auto& row : rows) {
            for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
        }
        std::string out;
        for (const auto& row : rows) {
            std::string line;
            for (std::size_t i = 0; i < row.size(); ++i) {
                const bool right = i >= numbers && i < texts;
                line += right ? fmt::format("{:>{}}  ", row[i], widths[i]) : fmt::format("{:<{}}  ", row[i], widths[i]);
            }
            line.erase(line.find_last_not_of(' ') + 1);
            out += line + "\n";
        }
        return out;
    }
};

std::map<ObjectKind, UsageSum> sums_of(const layers::Inventory& inventory) {
    std::map<ObjectKind, UsageSum> out;
    for (const StoredObject& object : inventory.objects) out[object.kind].add(object);
    return out;
}

UsageSum sum_of(const layers::Inventory& inventory) {
    UsageSum out;
    for (const StoredObject& object : inventory.objects) out.add(object);
    return out;
}

}  // namespace

void UsageSum::add(const StoredObject& object) {
    ++count;
    if (!is_reclaimable(object)) ++in_use;
    bytes += object.bytes;
    if (object.images > 1) shared += object.bytes;
    if (is_reclaimable(object)) reclaimable += object.bytes;
    last_used = std::max(last_used, object.last_used);
}

std::string render_usage(const layers::Inventory& inventory, bool whole) {
    const auto percent = [](const UsageSum& sum) {
        return sum.bytes == 0
                   ? 0
                   : static_cast<int>(100.0 * static_cast<double>(sum.reclaimable) / static_cast<double>(sum.bytes));
    };
    Table table{.rows = {{"TYPE", "TOTAL", "IN USE", "SIZE", "SHARED", "RECLAIMABLE", "LAST USED"}}, .texts = 6};
    for (const auto& [kind, sum] : sums_of(inventory)) {
        const bool weighs = kind != ObjectKind::image;
        table.rows.push_back({std::string(name_of(kind)) + "s", std::to_string(sum.count), std::to_string(sum.in_use),
                              weighs ? util::human_size(sum.bytes) : "-", weighs ? util::human_size(sum.shared) : "-",
                              weighs ? fmt::format("{} ({}%)", util::human_size(sum.reclaimable), percent(sum)) : "-",
                              text_of(sum.last_used)});
    }
    if (whole && inventory.work > 0) table.rows.push_back({"work", "", "", util::human_size(inventory.work)});
    if (whole) table.rows.push_back({"index", "", "", util::human_size(inventory.overhead)});
    const UsageSum all = sum_of(inventory);
    const std::uint64_t total = whole ? inventory.total() : all.bytes;
    return table.text() + fmt::format("total: {}, of which {} can be reclaimed\n", util::human_size(total),
                                      util::human_size(all.reclaimable));
}

std::string describe(const StoredObject& object) {
    if (object.kind == ObjectKind::layer) return in_one_line(describe_layer(object));
    if (object.kind != ObjectKind::image) return in_one_line(object.what);
    std::vector<std::string> names;
    for (const std::string& name : object.names) names.push_back(familiar(name));
    return names.empty() ? "<none>" : fmt::format("{}", fmt::join(names, ", "));
}

std::string render_objects(const std::vector<StoredObject>& objects) {
    Table table{.rows = {{"TYPE", "ID", "SIZE", "STATE", "LAST USED", "WHAT"}}, .numbers = 2, .texts = 3};
    for (const StoredObject& object : objects) {
        const char* state = object.held              ? "held"
                            : object.images > 1      ? "shared"
                            : is_reclaimable(object) ? "reclaimable"
                                                     : "needed";
        table.rows.push_back({std::string(name_of(object.kind)), brief_id(object),
                              object.kind == ObjectKind::image ? "-" : util::human_size(object.bytes), state,
                              text_of(object.last_used), describe(object)});
    }
    return table.text();
}

ordered_json objects_json(const std::vector<StoredObject>& objects) {
    ordered_json out = ordered_json::array();
    for (const StoredObject& object : objects) {
        ordered_json row = {{"type", name_of(object.kind)}, {"id", object.id},
                            {"bytes", object.bytes},        {"last_used", text_of(object.last_used)},
                            {"held", object.held},          {"reclaimable", is_reclaimable(object)}};
        if (object.kind == ObjectKind::image) {
            row["names"] = object.names;
        } else {
            row["images"] = object.images;
            row["description"] = describe(object);
        }
        out.push_back(std::move(row));
    }
    return out;
}

ordered_json usage_json(const layers::Inventory& inventory, bool whole) {
    const UsageSum all = sum_of(inventory);
    ordered_json out = {
        {"bytes", whole ? inventory.total() : all.bytes}, {"shared", all.shared}, {"reclaimable", all.reclaimable}};
    if (whole) {
        out["index"] = inventory.overhead;
        out["work"] = inventory.work;
    }
    const std::map<ObjectKind, UsageSum> sums = sums_of(inventory);
    for (const ObjectKind kind : kKinds) {
        const auto at = sums.find(kind);
        const UsageSum sum = at == sums.end() ? UsageSum{} : at->second;
        ordered_json row = {{"count", sum.count}, {"in_use", sum.in_use}};
        if (kind != ObjectKind::image) {
            row["bytes"] = sum.bytes;
            row["shared"] = sum.shared;
            row["reclaimable"] = sum.reclaimable;
        }
        out["types"][std::string(name_of(kind))] = std::move(row);
    }
    out["objects"] = objects_json(inventory.objects);
    return out;
}

}  // namespace imgbuild::cli
