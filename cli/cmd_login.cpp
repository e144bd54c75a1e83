#include "cli/commands.hpp"
#include "registry/credential_search.hpp"
#include "registry/login_file.hpp"
#include "util/bytes.hpp"
#include "util/defer.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <memory>
#include <stop_token>

namespace imgbuild::cli {
namespace {

constexpr std::size_t kLongestSecret = 64U << 10;

struct Options {
    std::string registry;
    std::string user;
    std::string password_on_command_line;
    bool password_stdin = false;
};

UsageError usage(std::string message, std::string hint) {
    return UsageError({.code = "usage.bad-login", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// The host of what people write: "ghcr.io", "https://ghcr.io/", "docker.io"; nothing is Docker Hub.
std::string domain_of(const std::string& text) {
    const std::string key = text.empty() ? "docker.io" : registry::normal_auth_key(text);
    if (key.contains('/')) {
        throw usage(fmt::format("{} is a repository; credentials are for registries", util::quote(text)),
                    fmt::format("imgbuild login {}", key.substr(0, key.find('/'))));
    }
    static_cast<void>(Reference::parse(key + "/repository"));
    return key;
}

// A person may take long, or give up.
void wait_for_input(const std::stop_token& stop) {
    constexpr int kMilliseconds = 100;
    for (;;) {
        if (stop.stop_requested()) throw Cancelled();
        pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&input, 1, kMilliseconds);
        if (ready < 0 && errno != EINTR) throw IoError("wait for", "standard input", errno);
        if (ready > 0) return;
    }
}

std::string read_line(bool echo, const std::stop_token& stop) {
    termios before{};
    const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (terminal && !echo) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    const util::Defer restore([&] {
        if (terminal && !echo) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    });
    std::string out;
    char c = 0;
    for (;;) {
        wait_for_input(stop);
        const ssize_t n = ::read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || c == '\n') return out;
        out += c;
        if (out.size() > kLongestSecret) throw usage("the line has no end", "");
    }
}

std::string ask(const char* question, bool echo, const std::stop_token& stop) {
    if (::isatty(STDIN_FILENO) == 0) {
        throw usage("standard input is no terminal that could be asked", "give -u USER and --password-stdin");
    }
    util::write_all(STDERR_FILENO, question, "standard error");
    std::string answer = read_line(echo, stop);
    if (!echo) util::write_all(STDERR_FILENO, "\n", "standard error");
    return answer;
}

std::string read_password(const Options& options, const std::stop_token& stop) {
    if (!options.password_stdin) return ask("Password: ", false, stop);
    util::FdSource input(STDIN_FILENO, "standard input");
    std::string out = util::read_all(input, kLongestSecret, "the password on standard input");
    // What `echo` adds.
    if (out.ends_with('\n')) out.pop_back();
    if (out.ends_with('\r')) out.pop_back();
    return out;
}

registry::Credentials read_credentials(const Options& options, const std::stop_token& stop) {
    registry::Credentials out;
    out.found_in = "what was typed";
    out.username = options.user;
    if (out.username.empty()) {
        if (options.password_stdin) throw usage("--password-stdin needs -u USER", "");
        out.username = ask("User: ", true, stop);
    }
    out.password = read_password(options, stop);
    if (out.username.empty()) throw usage("the user's name is empty", "");
    // The first colon ends the name where both are sent.
    if (out.username.contains(':')) throw usage("a user's name cannot have a colon", "");
    if (out.password.empty()) throw usage("the password is empty", "");
    return out;
}

int run_login(const Options& options, AppContext& context) {
    if (!options.password_on_command_line.empty()) {
        throw usage("a password on the command line is seen by everybody on this machine",
                    "echo \"$PASSWORD\" | imgbuild login -u USER --password-stdin REGISTRY");
    }
    const std::string domain = domain_of(options.registry);
    const registry::Credentials credentials = read_credentials(options, context.stop());
    context.registry_with(credentials).check_access(domain, context.stop());
    const std::string place =
        registry::remember_login(context.credentials().file_to_change(), domain, credentials, context.stop());
    print_result(fmt::format("logged in to {}; the credentials are in {}\n", domain, place));
    return 0;
}

int run_logout(const Options& options, AppContext& context) {
    const std::string domain = domain_of(options.registry);
    const std::string path = context.credentials().file_to_change();
    const bool found = registry::forget_login(path, domain, context.stop());
    print_result(found ? fmt::format("logged out of {}\n", domain)
                       : fmt::format("{} has no credentials for {}\n", util::quote(path), domain));
    return 0;
}

}  // namespace

void add_login(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("login", "Remember credentials for a registry, once it accepted them");
    command->footer(
        "Asks for what is missing. Without REGISTRY it is Docker Hub.\n\n"
        "Examples:\n"
        "  imgbuild login ghcr.io\n"
        "  echo \"$PASSWORD\" | imgbuild login -u robot --password-stdin registry.example:5000");
    command->add_option("registry", options->registry, "Host, and port if it has one")->type_name("REGISTRY");
    command->add_option("-u,--username", options->user, "Who")->type_name("USER")->take_last();
    command->add_flag("--password-stdin", options->password_stdin, "Read the password from standard input");
    command->add_option("-p,--password", options->password_on_command_line, "Refused: use --password-stdin")
        ->type_name("…")
        ->take_last();
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        chosen = [options, &context] { return run_login(*options, context); };
    });
}

void add_logout(CLI::App& app, AppContext& context, Chosen& chosen) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("logout", "Forget the credentials for a registry");
    command->footer("Example:\n  imgbuild logout ghcr.io");
    command->add_option("registry", options->registry, "Host, and port if it has one")->type_name("REGISTRY");
    command->callback([options, &context, &chosen] {
        context.uses_store = false;
        chosen = [options, &context] { return run_logout(*options, context); };
    });
}

}  // namespace imgbuild::cli
