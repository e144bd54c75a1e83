#include "cli/exit_code.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::cli {

int exit_code(std::string_view code) {
    static constexpr std::array<std::pair<std::string_view, int>, 18> kTable = {{
        {"build", kBuildFailed},
        {"cancelled", kInterrupted},
        {"check", kCheckFailed},
        {"corrupt", kSource},
        {"internal", kInternal},
        {"io", kSource},
        {"layers", kSource},
        {"lock", kLockDrift},
        {"machine", kMachine},
        {"parse", kUsage},
        {"registry", kRegistry},
        {"resources", kResources},
        {"sandbox", kInternal},
        {"source", kSource},
        {"store", kSource},
        {"usage", kUsage},
        {"verify", kVerifyMismatch},
        {"worker", kInternal},
    }};
    const std::string_view area = code.substr(0, code.find('.'));
    const auto* at = std::find_if(kTable.begin(), kTable.end(), [&](const auto& row) { return row.first == area; });
    return at == kTable.end() ? static_cast<int>(kInternal) : at->second;
}

}  // namespace imgbuild::cli
