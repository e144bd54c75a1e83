// A plan as bytes for the init, and back; and as JSON for people.
#include <imgbuild/error.hpp>

#include <type_traits>
#include <utility>

#include "builder/sandbox/plan.hpp"
#include "builder/sandbox/wire.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace imgbuild::sandbox {
namespace {

template <class Number>
requires std::is_integral_v<Number>
void store(std::string& out, Number number) {
    out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void store(std::string& out, const std::string& text) {
    store(out, static_cast<std::uint32_t>(text.size()));
    out.append(text.data(), text.size() + 1);
}

template <class Element>
void store(std::string& out, const std::vector<Element>& list) {
    store(out, static_cast<std::uint32_t>(list.size()));
    for (const Element& element : list) store(out, element);
}

struct LoadOwned {
    void operator()(wire::Reader& from, std::uint32_t& into) const { wire::load(from, into); }
    void operator()(wire::Reader& from, std::uint64_t& into) const { wire::load(from, into); }
    void operator()(wire::Reader& from, std::string& into) const {
        const wire::Text text = from.text();
        into.assign(text.data, text.size);
    }
    void operator()(wire::Reader& from, std::vector<std::string>& into) const {
        wire::TextList(from).each([&](wire::Text text) { into.emplace_back(text.data, text.size); });
    }
    void operator()(wire::Reader& from, std::vector<std::uint32_t>& into) const {
        wire::NumberList(from).each([&](std::uint32_t number) { into.push_back(number); });
    }
};

using ordered_json = nlohmann::ordered_json;

ordered_json flag_names(std::uint32_t flags, std::initializer_list<std::pair<std::uint32_t, const char*>> names) {
    ordered_json list = ordered_json::array();
    for (const auto& [bit, name] : names) {
        if ((flags & bit) != 0) list.push_back(name);
    }
    return list;
}

/// Numbers that are sets of bits or codes are printed by name; the rest as it is.
ordered_json printable(std::string_view field, std::uint32_t value) {
    if (field == "flags") {
        return flag_names(
            value,
            {{op::kReadOnly, "ro"}, {op::kNoSetuid, "nosuid"}, {op::kNoDevices, "nodev"}, {op::kNoExecute, "noexec"}});
    }
    if (field == "namespaces") {
        return flag_names(value, {{op::kMountNs, "mount"},
                                  {op::kPidNs, "pid"},
                                  {op::kIpcNs, "ipc"},
                                  {op::kUtsNs, "uts"},
                                  {op::kCgroupNs, "cgroup"},
                                  {op::kNetworkNs, "network"}});
    }
    if (field == "kind") {
        if (value >= op::kResource) return fmt::format("resource {}", value - op::kResource);
        return value == op::kOpenFiles ? "open-files" : "core-size";
    }
    if (field == "umask" || field == "mode") return fmt::format("{:04o}", value);
    if (field == "recursive" || field == "file") return value != 0;
    return value;
}

ordered_json printable(std::string_view field, std::uint64_t value) {
    if (field == "capabilities") return fmt::format("{:#018x}", value);
    return value;
}

ordered_json printable(std::string_view field, const std::string& value) {
    if (field == "program" || field == "unheard") return fmt::format("{} bytes", value.size());
    return value;
}

template <class Element>
ordered_json printable(std::string_view, const std::vector<Element>& value) {
    return value;
}

}  // namespace

std::string encode_plan(const SandboxPlan& plan) {
    std::string out;
    store(out, wire::kMagic);
    store(out, wire::kVersion);
    store(out, static_cast<std::uint32_t>(plan.operations.size()));
    for (const Operation& operation : plan.operations) {
        std::string fields;
        std::visit(
            [&](const auto& action) { action.fields(action, [&](const char*, const auto& f) { store(fields, f); }); },
            operation.action);
        store(out, static_cast<std::uint32_t>(operation.action.index()));
        store(out, static_cast<std::uint32_t>(fields.size()));
        out += fields;
    }
    return out;
}

SandboxPlan decode_plan(std::string_view bytes) {
    wire::Reader reader(bytes.data(), bytes.size());
    const auto header = std::pair{reader.number<std::uint32_t>(), reader.number<std::uint32_t>()};
    if (header != std::pair{wire::kMagic, wire::kVersion}) {
        throw CorruptData("sandbox plan", fmt::format("version {}", wire::kVersion), "something else");
    }
    SandboxPlan plan;
    const auto count = reader.number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto code = reader.number<std::uint32_t>();
        const auto size = reader.number<std::uint32_t>();
        const bool known =
            op::All<wire::Dispatch, Owned>::call(code, reader.part(size), LoadOwned{}, [&](auto& action) {
                plan.operations.push_back({std::move(action), {}});
            });
        if (!known || !reader.ok()) {
            throw CorruptData("sandbox plan", "a known operation", fmt::format("code {}", code));
        }
    }
    if (!reader.ok() || reader.left() != 0)
        throw CorruptData("sandbox plan", "operations to its end", "fewer or more bytes");
    return plan;
}

std::string to_json(const SandboxPlan& plan) {
    ordered_json list = ordered_json::array();
    for (const Operation& operation : plan.operations) {
        ordered_json entry;
        std::visit(
            [&](const auto& action) {
                entry["do"] = action.kName;
                action.fields(action,
                              [&](const char* name, const auto& field) { entry[name] = printable(name, field); });
            },
            operation.action);
        entry["why"] = operation.why;
        list.push_back(std::move(entry));
    }
    return list.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace imgbuild::sandbox
