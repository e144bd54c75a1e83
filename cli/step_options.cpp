#include "cli/step_options.hpp"

#include <imgbuild/error.hpp>

#include "builder/sandbox/step_spec.hpp"
#include "cli/secret_options.hpp"
#include "cli/ssh_options.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <arpa/inet.h>
#include <algorithm>

namespace imgbuild::cli {
namespace {

// With the host's network the host is reached as itself.
constexpr std::string_view kHostGateway = "127.0.0.1";

UsageError usage(std::string code, std::string message, std::string hint) {
    return UsageError({.code = std::move(code), .message = std::move(message), .hint = std::move(hint), .where = {}});
}

bool is_address(const std::string& text) {
    in6_addr buffer{};
    return ::inet_pton(AF_INET, text.c_str(), &buffer) == 1 || ::inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

bool is_host_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
}

// "NAME:ADDRESS" or "NAME=ADDRESS"; an IPv6 address may stand in brackets.
std::pair<std::string, std::string> parse_host(const std::string& text) {
    const std::size_t end = std::min(text.find('='), text.find(':'));
    const std::string name = text.substr(0, end);
    std::string address = end >= text.size() ? "" : text.substr(end + 1);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    if (address == "host-gateway") address = kHostGateway;
    if (!is_host_name(name) || !is_address(address)) {
        throw usage("usage.bad-host", fmt::format("--add-host {} is not NAME:ADDRESS", util::quote(text)),
                    "for example --add-host mirror:10.0.0.1, or --add-host build-host:host-gateway");
    }
    return {name, address};
}

std::optional<std::uint64_t> parse_limit(std::string_view text) {
    if (text == "-1" || text == "unlimited") return sandbox::kUnlimited;
    return util::parse_number(text);
}

// "NAME=SOFT[:HARD]"
builder::Ulimit parse_ulimit(const std::string& text) {
    const std::size_t equals = text.find('=');
    const std::string name = util::to_lower(text.substr(0, equals));
    if (equals == std::string::npos || !sandbox::resource_number(name)) {
        throw usage("usage.bad-ulimit", fmt::format("--ulimit {} is not NAME=SOFT[:HARD]", util::quote(text)),
                    "for example --ulimit nofile=1024:4096; names are those of ulimit in docker: core, cpu, nofile, …");
    }
    const std::string_view values = std::string_view(text).substr(equals + 1);
    const std::size_t colon = values.find(':');
    const auto soft = parse_limit(values.substr(0, colon));
    const auto hard = colon == std::string_view::npos ? soft : parse_limit(values.substr(colon + 1));
    if (!soft || !hard || *soft > *hard) {
        throw usage("usage.bad-ulimit", fmt::format("--ulimit {} has no valid limits", util::quote(text)),
                    "give numbers or unlimited, and a soft limit not above the hard one");
    }
    return {.name = name, .soft = *soft, .hard = *hard};
}

std::uint64_t parse_shm_size(const std::string& text) {
    std::uint64_t size = 0;
    try {
        size = parser::parse_size(text);
    } catch (const Error& error) {
        throw usage("usage.bad-size", fmt::format("--shm-size: {}", error.message()), error.hint());
    }
    if (size == 0) throw usage("usage.bad-size", "--shm-size is 0", "leave it out for the default, 64m");
    return size;
}

void apply_allowances(const std::vector<std::string>& allow, builder::RunOptions& run) {
    for (const std::string& list : allow) {
        for (const std::string_view entitlement : util::split(list, ',')) {
            if (entitlement == "security.insecure") {
                run.allow_insecure = true;
            } else if (entitlement != "network.host") {  // a step has the host's network anyway
                throw usage("usage.unknown-entitlement",
                            fmt::format("--allow {} is nothing that can be allowed here", util::quote(entitlement)),
                            "security.insecure and network.host are");
            }
        }
    }
}

}  // namespace

void add_step_options(CLI::App& command, StepOptions& options) {
    command.add_option("--secret", options.secrets, "A secret for RUN --mount=type=secret: a file or a variable")
        ->type_name("id=ID[,src=FILE|,env=NAME]")
        ->allow_extra_args(false);
    command.add_option("--ssh", options.ssh, "An ssh agent for RUN --mount=type=ssh: its socket, or keys for one")
        ->type_name("default|ID[=SOCKET|=KEY[,KEY…]]")
        ->allow_extra_args(false);
    command.add_option("--network", options.network, "Network of RUN without --network")
        ->take_last()
        ->check(CLI::IsMember({"default", "host", "none"}));
    command.add_option("--add-host", options.hosts, "A line for /etc/hosts of RUN; ADDRESS may be host-gateway")
        ->type_name("NAME:ADDRESS")
        ->allow_extra_args(false);
    command.add_option("--ulimit", options.ulimits, "A resource limit of RUN")
        ->type_name("NAME=SOFT[:HARD]")
        ->allow_extra_args(false);
    command.add_option("--shm-size", options.shm_size, "Size of /dev/shm in RUN (default 64m)")
        ->type_name("SIZE")
        ->take_last();
    command.add_option("--allow", options.allow, "What the build file may ask for: security.insecure, network.host")
        ->type_name("ENTITLEMENT")
        ->allow_extra_args(false);
}

void apply_step_options(const StepOptions& options, builder::BuildRequest& request) {
    builder::RunOptions& run = request.lower.run;
    if (options.network == "none") run.network = builder::Network::none;
    for (const std::string& text : options.hosts) run.hosts.push_back(parse_host(text));
    for (const std::string& text : options.ulimits) run.ulimits.push_back(parse_ulimit(text));
    if (!options.shm_size.empty()) run.shm_size = parse_shm_size(options.shm_size);
    apply_allowances(options.allow, run);
    request.confidants.secret = read_secrets(options.secrets);
    request.confidants.agent = find_agents(options.ssh);
}

}  // namespace imgbuild::cli
