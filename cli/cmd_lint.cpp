#include "cli/build_options.hpp"
#include "cli/check_file.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/lint_report.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    BuildOptions build;
    std::string format = "text";
    bool fix = false;
    bool list_rules = false;
};

/// A fix may uncover the next one: a keyword's case and the line that it stands on cannot be mended at once.
constexpr int kMostRounds = 20;

/// Mends what can be mended; the request then has the new text. Returns whether anything changed.
bool mend(builder::BuildRequest& request, AskFor ask, AppContext& context) {
    bool changed = false;
    for (int round = 0; round < kMostRounds; ++round) {
        const CheckedFile checked = check_build_file(request, ask, context);
        std::string text = builder::apply_fixes(checked.source->text, checked.survey.findings);
        if (text == checked.source->text) break;
        auto mended = std::make_shared<const SourceFile>(SourceFile{checked.source->name, std::move(text)});
        if (!checked.file.has_errors()) static_cast<void>(parser::parse_file(mended).require_valid());
        request.file = std::move(mended);
        changed = true;
    }
    return changed;
}

void save(const builder::BuildRequest& request) {
    if (request.file_path.empty()) {
        print_result(request.file->text);
        return;
    }
    struct stat status {};
    const mode_t mode = ::stat(request.file_path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0644;
    util::AtomicFile file(request.file_path, mode);
    file.write(request.file->text);
    file.commit();
}

void tell_unknown_images(const CheckedFile& checked) {
    for (const std::string& name : checked.survey.unknown_images) {
        const std::string line =
            fmt::format("note: the base image {} is not known here, so variables that it may set are not checked\n",
                        util::quote(name));
        util::write_all(STDERR_FILENO, line, "standard error");
    }
}

int run_lint(const Options& options, AppContext& context) {
    if (options.list_rules) {
        print_result(render_rules());
        return kOk;
    }
    builder::BuildRequest request = make_request(options.build, context);
    const AskFor ask = asks_registries(options.build) ? AskFor::all_images : AskFor::local_images;
    const bool on_stdout = request.file_path.empty() && options.fix;
    if (options.fix && (mend(request, ask, context) || on_stdout)) save(request);
    const CheckedFile checked = check_build_file(request, ask, context);
    const std::string report = render_lint(checked, options.format);
    // What was read from standard input goes back to standard output when it is mended.
    if (on_stdout) {
        util::write_all(STDERR_FILENO, report, "standard error");
    } else {
        print_result(report);
    }
    if (options.format == "text") tell_unknown_images(checked);
    return lint_exit_code(checked);
}

}  // namespace

void add_lint(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("lint", "Check a build file without building it, and mend it");
    command->footer(
        "Ends with 0 if nothing is found, with 3 for warnings, with 2 for errors.\n"
        "A line '# check=skip=RULE' above an instruction, or at the top, keeps a check silent.\n\n"
        "Examples:\n"
        "  imgbuild lint .\n"
        "  imgbuild lint --fix -f docker/Dockerfile .\n"
        "  imgbuild lint --format sarif . > lint.sarif");
    add_file_options(*command, options->build);
    command->add_option("--format", options->format, "text, json or sarif")
        ->take_last()
        ->check(CLI::IsMember({"text", "json", "sarif"}))
        ->capture_default_str();
    command->add_flag("--fix", options->fix,
                      "Write the file anew with all that can be mended without changing its meaning");
    command->add_flag("--list-rules", options->list_rules, "Print the names of all checks");
    command->callback([options, &context, &chosen] {
        // The store's index is all that is read, and a check has to work where no build could.
        context.uses_store = false;
        chosen = [options, &context] { return run_lint(*options, context); };
    });
}

}  // namespace imgbuild::cli
