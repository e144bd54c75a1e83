#include "builder/images.hpp"
#include "cli/build_options.hpp"
#include "cli/commands.hpp"
#include "cli/debug_batch.hpp"
#include "util/fd.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>
#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

namespace imgbuild::cli {
namespace {

struct GraphOptions {
    BuildOptions build;
    std::string format = "json";
};

int run_graph_command(const GraphOptions& options, AppContext& context) {
    const builder::BuildRequest request = make_request(options.build, context);
    builder::Images images(context.store(), context.registry(), {.pull = request.pull, .tag_ttl = request.tag_ttl},
                           context.stop());
    const builder::Lowered lowered = builder::plan_build(request, images, 4, context.stop());
    print_result(options.format == "dot"
                     ? builder::to_dot(lowered.graph, lowered.result)
                     : builder::to_json(lowered.graph, lowered.result, request.lower.target_platform) + "\n");
    return 0;
}

void add_graph(CLI::App& debug, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<GraphOptions>();
    CLI::App* command = debug.add_subcommand("graph", "Print the graph of a build without carrying it out");
    command->footer("Example:\n  imgbuild debug graph --format dot . | dot -Tsvg > graph.svg");
    add_build_options(*command, options->build);
    command->add_option("--format", options->format, "json or dot")
        ->check(CLI::IsMember({"json", "dot"}))
        ->capture_default_str();
    command->callback([options, &context, &chosen] {
        chosen = [options, &context] { return run_graph_command(*options, context); };
    });
}

struct QuestionOptions {
    DebugQuestion question;
    std::string file = "-";
    std::string ignore_file;
    std::vector<std::string> environment;
    std::vector<std::string> attributes;
};

std::pair<std::string, std::string> name_and_value(const std::string& text) {
    const std::size_t equals = std::min(text.find('='), text.size());
    return {text.substr(0, equals), text.substr(std::min(equals + 1, text.size()))};
}

int run_question(QuestionOptions options) {
    constexpr std::size_t kLargest = std::size_t{64} << 20;
    options.question.text = options.file == "-" ? util::read_all(STDIN_FILENO, kLargest, "standard input")
                                                : util::read_file(options.file, kLargest);
    // What is one line ends with a newline only because a file does.
    constexpr std::string_view kOneLine = " gitref heredoc json platform port ref word words ";
    if (kOneLine.contains(" " + options.question.operation + " ") && options.question.text.ends_with('\n')) {
        options.question.text.pop_back();
    }
    if (!options.ignore_file.empty()) options.question.ignore_file = util::read_file(options.ignore_file, kLargest);
    for (const std::string& text : options.environment) options.question.environment.push_back(name_and_value(text));
    for (const std::string& text : options.attributes) options.question.attributes.push_back(name_and_value(text));
    return run_debug_question(options.question, std::cout);
}

void add_question(CLI::App& debug, const std::string& operation, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<QuestionOptions>();
    options->question.operation = operation;
    CLI::App* command = debug.add_subcommand(operation, "Answer as `debug batch` does, about one file");
    command->footer("Example:\n  imgbuild debug " + operation + " FILE");
    command->add_option("file", options->file, "File with the text; '-' is standard input")->capture_default_str();
    if (operation == "directive") {
        command->add_option("--name", options->question.name, "Name of the directive")->required();
    } else if (operation == "word" || operation == "words") {
        command->add_option("--env", options->environment, "Variable: NAME=VALUE")->allow_extra_args(false);
        command->add_option("--escape", options->question.escape, "Escape character")->capture_default_str();
        command->add_option("--mode", options->question.modes, "rawquotes, rawescapes, skipunset, skipprocessquotes")
            ->allow_extra_args(false);
    } else if (operation == "match") {
        command->add_option("--path", options->question.paths, "Path to judge by the patterns in the file")
            ->allow_extra_args(false);
    } else if (operation == "lint" || operation == "outline") {
        command->add_option("--attr", options->attributes, "target=…, platform=…, build-arg:NAME=…")
            ->allow_extra_args(false);
        command->add_option("--ignore-file", options->ignore_file, "Ignore file");
    }
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        chosen = [options] { return run_question(*options); };
    });
}

}  // namespace

void add_debug(CLI::App& app, AppContext& context, Chosen& chosen) {
    CLI::App* debug = app.add_subcommand("debug", "Look inside: graphs, and the parser's answers for test tables");
    debug->require_subcommand(1);
    debug->footer("Example:\n  imgbuild debug graph .");
    add_graph(*debug, context, chosen);
    CLI::App* batch = debug->add_subcommand("batch", "Answer one JSON object per line about the build file language");
    batch->footer("Example:\n  echo '{\"op\":\"word\",\"text\":\"$A\",\"envs\":{\"A\":\"b\"}}' | imgbuild debug batch");
    for (const std::string& operation : debug_operations()) add_question(*debug, operation, context, chosen);
    batch->callback([&context, &chosen] {
        context.uses_store = false;
        chosen = [] { return run_debug_batch(std::cin, std::cout); };
    });
}

}  // namespace imgbuild::cli
