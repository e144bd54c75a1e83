// The command line: the process becomes the worker of its own build (DESIGN 5).

#include <imgbuild/error.hpp>

#include "builder/sandbox/worker.hpp"
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/print_error.hpp"
#include "cli/signals.hpp"
#include "util/fd.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <new>

namespace imgbuild::cli {
namespace {

void print_error_text(const std::string& text) noexcept {
    try {
        util::write_all(STDERR_FILENO, text, "standard error");
    } catch (...) {
        // Nobody listens; the exit code still tells.
    }
}

// A descriptor that we were started without would become the next file that we open, be it the index, and messages
// would be written into that. So such a place is filled at once: with nothing to read from, with nobody who listens to
// messages, and with what refuses to be written where results go, since a result must not get lost in silence.
void fill_standard_streams() {
    constexpr int kModes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // The lowest free one, since those below are taken by now. Not close-on-exec, as the three never are.
        util::check(::open("/dev/null", kModes[fd]), "open", "/dev/null");
    }
}

// Known before the command line is understood, so that what is wrong with that is told in this form as well.
ErrorFormat error_format(int argc, char** argv) {
    constexpr std::string_view kOption = "--error-format";
    ErrorFormat out = ErrorFormat::text;
    for (int i = 1; i < argc; ++i) {
        std::string_view arg = argv[i];
        if (arg == "--") break;
        if (!arg.starts_with(kOption)) continue;
        arg.remove_prefix(kOption.size());
        if (arg.empty() && i + 1 < argc) arg = argv[i + 1];
        if (arg.starts_with('=')) arg.remove_prefix(1);
        out = arg == "json" ? ErrorFormat::json : ErrorFormat::text;
    }
    return out;
}

void print(const Error& error, int code, ErrorFormat format) {
    print_error_text(format == ErrorFormat::json ? render_error_json(error, code) : render_error(error));
}

// Runs `body` and turns what leaves it into a message and an exit code.
template <class Body>
int guarded(SignalWatch& signals, ErrorFormat format, Body&& body) {
    try {
        return body();
    } catch (const Cancelled& error) {
        print(error, signals.exit_code(), format);
        return signals.exit_code();
    } catch (const Error& error) {
        print(error, exit_code(error.code()), format);
        return exit_code(error.code());
    } catch (const std::bad_alloc&) {
        print(Error({.code = "resources.memory", .message = "out of memory", .hint = {}, .where = {}}), kResources,
              format);
        return kResources;
    } catch (const std::exception& error) {
        print(Error({.code = "internal.unexpected",
                     .message = fmt::format("internal: {}", error.what()),
                     .hint = "this is a bug of imgbuild; please report it",
                     .where = {}}),
              kInternal, format);
        return kInternal;
    }
}

void add_commands(CLI::App& app, AppContext& context, Chosen& chosen, Refused& refused) {
    app.require_subcommand(1);
    app.fallthrough();
    app.set_help_all_flag("--help-all", "Help of all commands");
    app.add_option("--root", context.root, "Directory of the store (default: $IMGBUILD_ROOT, or a place of the system)")
        ->type_name("DIR");
    app.add_option("--error-format", context.error_format, "How the error is told that ends a command: text, json")
        ->type_name("FORMAT")
        ->take_last()
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    add_registry_options(app, context.registry_options);
    app.footer("`imgbuild -t app:1 .` is `imgbuild build -t app:1 .`\nHelp of a command: imgbuild COMMAND --help");
    add_build(app, context, chosen);
    add_images(app, context, chosen);
    add_inspect(app, context, chosen);
    add_tag(app, context, chosen);
    add_du(app, context, chosen);
    add_fsck(app, context, chosen);
    add_prune(app, context, chosen);
    add_push(app, context, chosen);
    add_export(app, context, chosen);
    add_copy(app, context, chosen);
    add_run(app, context, chosen);
    add_doctor(app, context, chosen);
    add_lint(app, context, chosen);
    add_outline(app, context, chosen);
    add_targets(app, context, chosen);
    add_login(app, context, chosen);
    add_logout(app, context, chosen);
    add_debug(app, context, chosen);
    add_worker(app, context, chosen, refused);
    add_version(app, context, chosen);
}

// `build` is the default: anything that names no command is its arguments.
std::vector<std::string> with_default_command(int argc, char** argv, const CLI::App& app) {
    std::vector<std::string> args(argv + 1, argv + argc);
    const auto is_global = [](const std::string& arg) {
        return arg == "--help" || arg == "-h" || arg == "--help-all" || arg == "--version";
    };
    std::size_t first = 0;
    while (first < args.size() && (args[first].starts_with("--root") || args[first].starts_with("--error-format") ||
                                   is_registry_option(args[first]))) {
        first += args[first].find('=') == std::string::npos ? 2 : 1;
    }
    const auto is_command = [&app](const std::string& arg) {
        return !app.get_subcommands([&arg](const CLI::App* command) { return command->check_name(arg); }).empty();
    };
    const bool named = first < args.size() && (is_command(args[first]) || is_global(args[first]));
    if (!args.empty() && !named)
        args.insert(args.begin() + static_cast<std::ptrdiff_t>(std::min(first, args.size())), "build");
    std::reverse(args.begin(), args.end());  // as CLI11 takes them
    return args;
}

int run(int argc, char** argv, SignalWatch& signals) {
    CLI::App app("Builds OCI images from Dockerfiles, without a daemon.", "imgbuild");
    AppContext context(signals.stop());
    Chosen chosen;
    Refused refused;
    add_commands(app, context, chosen, refused);
    app.set_version_flag("--version", fmt::format("imgbuild {}", IMGBUILD_VERSION));
    if (argc < 2) {
        print_error_text(app.help());
        return kUsage;
    }
    try {
        app.parse(with_default_command(argc, argv, app));
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        throw UsageError({.code = "usage.bad-command-line",
                          .message = error.what(),
                          .hint = "imgbuild --help lists commands, imgbuild COMMAND --help their options",
                          .where = {}});
    }
    // Before the first thread, since namespaces entered later would be that thread's alone.
    try {
        if (context.uses_store) sandbox::enter_worker();
        if (context.before_threads) context.before_threads();
    } catch (const Error&) {
        if (!refused) throw;
        chosen = [&refused, why = std::current_exception()] { return refused(why); };
    }
    signals.start();
    return chosen();
}

}  // namespace
}  // namespace imgbuild::cli

int main(int argc, char** argv) {
    using namespace imgbuild;
    std::signal(SIGPIPE, SIG_IGN);
    cli::fill_standard_streams();
    cli::SignalWatch signals;
    return cli::guarded(signals, cli::error_format(argc, argv), [&] { return cli::run(argc, argv, signals); });
}
