#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "layers/fsck.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    bool repair = false;
    bool deep = false;
    bool json = false;
};

std::string describe(const layers::FsckReport& report) {
    std::string out;
    for (const layers::FsckFinding& finding : report.findings) {
        out += fmt::format("{}{}: {}: {}\n", finding.repaired ? "repaired: " : "", finding.problem, finding.object,
                           finding.detail);
    }
    const auto left = std::count_if(report.findings.begin(), report.findings.end(),
                                    [](const layers::FsckFinding& finding) { return !finding.repaired; });
    out += fmt::format("checked: {} images, {} layers, {} blobs; {}\n", report.images, report.layers, report.blobs,
                       left > 0                  ? fmt::format("{} problems; imgbuild fsck --repair", left)
                       : report.findings.empty() ? "no problem"
                                                 : fmt::format("{} problems repaired", report.findings.size()));
    return out;
}

nlohmann::ordered_json to_json(const layers::FsckReport& report) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const layers::FsckFinding& finding : report.findings) {
        findings.push_back({{"problem", finding.problem},
                            {"object", finding.object},
                            {"detail", finding.detail},
                            {"repaired", finding.repaired}});
    }
    return {{"good", report.good()},
            {"images", report.images},
            {"layers", report.layers},
            {"blobs", report.blobs},
            {"findings", std::move(findings)}};
}

int run_fsck(const Options& options, AppContext& context) {
    // Not context.store(), whose sweep would repair before anybody has looked.
    const layers::FsckReport report =
        layers::fsck(context.store_root(), {.repair = options.repair, .deep = options.deep, .stop = context.stop()});
    print_result(options.json ? to_json(report).dump(2) + "\n" : describe(report));
    return report.good() ? kOk : kCheckFailed;
}

}  // namespace

void add_fsck(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("fsck", "Look for damage in the store, and repair it");
    command->footer(
        "Ends with exit code 3 if there is a problem that was not repaired. Builds may run meanwhile.\n\n"
        "Examples:\n  imgbuild fsck\n  imgbuild fsck --repair --deep");
    command->add_flag("--repair", options->repair, "Remove what is damaged; the next build makes it again");
    command->add_flag("--deep", options->deep, "Read the contents of the layers made here, too");
    command->add_flag("--json", options->json, "As JSON, for programs");
    command->callback(
        [options, &context, &chosen] { chosen = [options, &context] { return run_fsck(*options, context); }; });
}

}  // namespace imgbuild::cli
