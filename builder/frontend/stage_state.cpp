#include "builder/frontend/stage_state.hpp"

#include <algorithm>

namespace imgbuild::builder {
namespace {

std::string_view name_of(std::string_view variable) {
    return variable.substr(0, variable.find('='));
}

}  // namespace

std::vector<NameValue> StageState::env_pairs() const {
    std::vector<NameValue> out;
    for (const std::string& variable : config.config.env) {
        const std::size_t equals = variable.find('=');
        if (equals == std::string::npos) continue;
        out.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
    }
    return out;
}

namespace {

void put(std::vector<std::string>& env, const std::string& name, const std::string& value) {
    const auto at = std::find_if(env.begin(), env.end(), [&](const std::string& v) { return name_of(v) == name; });
    if (at == env.end()) {
        env.push_back(name + "=" + value);
    } else {
        *at = name + "=" + value;
    }
}

}  // namespace

void StageState::set_env(const std::string& name, const std::string& value) {
    put(config.config.env, name, value);
    for (Argument& arg : args) arg.hidden = arg.hidden || arg.name == name;
}

void StageState::set_arg(const std::string& name, std::optional<std::string> value) {
    const auto at = std::find_if(args.begin(), args.end(), [&](const Argument& arg) { return arg.name == name; });
    if (at == args.end()) {
        args.push_back({.name = name, .value = std::move(value), .hidden = false});
    } else if (value) {
        *at = {.name = name, .value = std::move(value), .hidden = false};
    }
}

std::vector<NameValue> StageState::visible_args() const {
    std::vector<NameValue> out;
    for (const Argument& arg : args) {
        if (arg.value && !arg.hidden) out.emplace_back(arg.name, *arg.value);
    }
    return out;
}

std::vector<std::string> StageState::command_env() const {
    std::vector<std::string> out = config.config.env;
    for (const NameValue& arg : visible_args()) put(out, arg.first, arg.second);
    return out;
}

parser::Environment StageState::environment() const {
    std::vector<NameValue> pairs = env_pairs();
    for (NameValue& arg : visible_args()) pairs.push_back(std::move(arg));
    return parser::environment_of(std::move(pairs));
}

std::vector<std::string> StageState::shell() const {
    if (!config.config.shell.empty()) return config.config.shell;
    return {"/bin/sh", "-c"};
}

void StageState::add_history(std::string created_by, Layer layer) {
    oci::HistoryEntry entry;
    entry.created_by = std::move(created_by);
    entry.comment = "imgbuild";
    entry.empty_layer = layer == Layer::none;
    config.history.push_back(std::move(entry));
}

}  // namespace imgbuild::builder
