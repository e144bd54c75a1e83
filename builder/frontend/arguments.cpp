#include "builder/frontend/arguments.hpp"

#include "util/text.hpp"

#include <algorithm>
#include <array>

namespace imgbuild::builder {
namespace {

std::optional<std::string> look_up(const std::map<std::string, std::string, std::less<>>& map, std::string_view name) {
    const auto at = map.find(name);
    if (at == map.end()) return std::nullopt;
    return at->second;
}

void put_platform(std::map<std::string, std::string, std::less<>>& out, const std::string& prefix,
                  const Platform& platform) {
    out[prefix + "PLATFORM"] = platform.text();
    out[prefix + "OS"] = platform.os;
    out[prefix + "OSVERSION"] = platform.os_version;
    out[prefix + "ARCH"] = platform.architecture;
    out[prefix + "VARIANT"] = platform.variant;
}

}  // namespace

bool is_proxy_argument(std::string_view name) {
    constexpr std::array<std::string_view, 5> kNames = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
                                                        "ALL_PROXY"};
    const std::string upper = util::to_upper(name);
    // Upper or lower case, nothing in between.
    if (name != upper && name != util::to_lower(name)) return false;
    return std::find(kNames.begin(), kNames.end(), upper) != kNames.end();
}

GlobalArguments::GlobalArguments(const parser::BuildFile& file, const LowerOptions& options) {
    put_platform(predefined_, "BUILD", options.build_platform);
    put_platform(predefined_, "TARGET", options.target_platform);
    const std::string last = file.stages.empty() ? std::string() : file.stages.back().name;
    const std::string& target = options.target.empty() ? last : options.target;
    predefined_["TARGETSTAGE"] = target.empty() ? "default" : target;
    for (const auto& pair : options.build_args) given_[pair.first] = pair.second;
    for (auto& pair : predefined_) {
        if (const auto value = given(pair.first)) pair.second = *value;
    }

    for (const parser::Instruction& instruction : file.global_args) {
        const auto* arg = std::get_if<parser::Arg>(&instruction.body);
        if (arg == nullptr) continue;
        for (const parser::Arg::Item& item : arg->items) {
            if (const auto value = given(item.name.text)) {
                declared_[item.name.text] = *value;
            } else if (item.value) {
                const parser::WordExpander expander(environment(), file.escape);
                const SourceSpan where{.file = file.source, .span = item.value->span};
                declared_[item.name.text] = expander.expand(item.value->text, where);
            }
        }
    }
}

std::optional<std::string> GlobalArguments::given(std::string_view name) const {
    return look_up(given_, name);
}

std::optional<std::string> GlobalArguments::inherited(std::string_view name) const {
    if (auto value = given(name)) return value;
    if (auto value = look_up(declared_, name)) return value;
    return look_up(predefined_, name);
}

parser::Environment GlobalArguments::environment() const {
    return [this](std::string_view name) {
        if (auto value = look_up(declared_, name)) return value;
        return look_up(predefined_, name);
    };
}

std::vector<std::pair<std::string, std::string>> GlobalArguments::proxies() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& pair : given_) {
        if (is_proxy_argument(pair.first)) out.push_back(pair);
    }
    return out;
}

}  // namespace imgbuild::builder
