#include "cli/build_options.hpp"

#include <imgbuild/error.hpp>

#include "cli/stream_context.hpp"
#include "parser/values.hpp"
#include "util/fd.hpp"
#include "util/rooted_dir.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>

namespace imgbuild::cli {
namespace {

constexpr std::array<const char*, 4> kFileNames = {"Buildfile", "Dockerfile", "Containerfile", "dockerfile"};

UsageError usage(std::string code, std::string message, std::string hint) {
    return UsageError({.code = std::move(code), .message = std::move(message), .hint = std::move(hint), .where = {}});
}

// What docker would take besides is told apart, so that nobody wonders.
void refuse_git(const std::string& context) {
    const bool is_http_git = is_url(context) && context.substr(0, context.find('#')).ends_with(".git");
    const bool is_other = !is_url(context) && (context.find("://") != std::string::npos || context.starts_with("git@"));
    if (!is_http_git && !is_other) return;
    throw usage("usage.unsupported-context", fmt::format("the context {} is not supported yet", util::quote(context)),
                "clone it and give the directory, or give the URL of a tar");
}

std::string find_file(const std::string& context) {
    for (const char* name : kFileNames) {
        std::string path = context + "/" + name;
        if (::access(path.c_str(), F_OK) == 0) return path;
    }
    throw Error(
        {.code = "source.no-build-file",
         .message = fmt::format("there is no Buildfile, Dockerfile or Containerfile in {}", util::quote(context)),
         .hint = "name it with -f FILE",
         .where = {}});
}

std::shared_ptr<const SourceFile> read_file(const std::string& path, AppContext& context) {
    if (is_url(path)) return download_build_file(path, context);
    auto out = std::make_shared<SourceFile>();
    if (path == "-") {
        out->name = "standard input";
        out->text = util::read_all(STDIN_FILENO, kLargestBuildFile, "the build file");
        return out;
    }
    out->name = path;
    try {
        out->text = util::read_file(path, kLargestBuildFile);
    } catch (const IoError& error) {
        throw Error({.code = "source.no-build-file",
                     .message = fmt::format("the build file cannot be read: {}", error.message()),
                     .hint = "paths after -f are relative to the current directory",
                     .where = {}});
    }
    return out;
}

// "K=V", or "K": the value of the environment variable K, if it is set.
std::optional<std::pair<std::string, std::string>> parse_argument(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (text.empty() || equals == 0) {
        throw usage("usage.bad-build-arg", fmt::format("--build-arg {} has no name", util::quote(text)),
                    "write --build-arg NAME=VALUE");
    }
    if (equals != std::string::npos) return std::pair(text.substr(0, equals), text.substr(equals + 1));
    const auto value = AppContext::environment(text.c_str());
    if (!value) return std::nullopt;
    return std::pair(text, *value);
}

// The build file of a context that is a stream: in the tar, or the stream itself.
void take_stream(const BuildOptions& options, AppContext& context, builder::BuildRequest& request) {
    const bool own_file = options.file == "-" || is_url(options.file);
    if (options.context == "-" && options.file == "-") {
        throw usage("usage.no-context", "standard input cannot be the context and the build file at once",
                    "name one of them");
    }
    if (!options.ignore_file.empty()) {
        throw usage("usage.bad-request", "--ignorefile is for a context that is a directory",
                    "a tar is taken as it is: leave out of it what the build is not to see");
    }
    StreamContext stream = read_stream_context(options.context, context);
    request.context_archive = stream.context;
    if (stream.file && !options.file.empty()) {
        throw usage("usage.no-context",
                    fmt::format("{} is no tar, so it is the build file, and -f {} names another one",
                                util::quote(options.context), util::quote(options.file)),
                    "leave -f out, or give a tar");
    }
    if (own_file) stream.file = read_file(options.file, context);
    if (!stream.file) {
        std::vector<std::string> names(kFileNames.begin(), kFileNames.end());
        if (!options.file.empty()) names = {util::clean_path(options.file)};
        auto found = stream.context->find_file(names, kLargestBuildFile);
        if (!found) {
            throw Error(
                {.code = "source.no-build-file",
                 .message = fmt::format("there is no {} in the context {}",
                                        fmt::join(names, options.file.empty() ? ", " : ""), stream.context->name()),
                 .hint = "name it with -f FILE",
                 .where = {}});
        }
        stream.file = std::make_shared<const SourceFile>(std::move(*found));
    }
    request.file = stream.file;
}

void take_files(const BuildOptions& options, AppContext& context, builder::BuildRequest& request) {
    refuse_git(options.context);
    if (options.context == "-" || is_url(options.context)) {
        take_stream(options, context, request);
        return;
    }
    const std::string path = options.file.empty() ? find_file(options.context) : options.file;
    request.file = read_file(path, context);
    request.file_path = path == "-" || is_url(path) ? "" : path;
    request.context = options.context;
}

void add_context(const std::string& text, AppContext& context, builder::BuildRequest& request) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw usage("usage.bad-build-context", fmt::format("--build-context {} is not NAME=VALUE", util::quote(text)),
                    "for example --build-context base=oci-layout://DIR");
    }
    const std::string name = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    using Kind = builder::NamedContext::Kind;
    if (name == "scratch" || name == "context") {
        throw usage("usage.bad-build-context", fmt::format("the name {} cannot be replaced", util::quote(name)), "");
    }
    if (value.starts_with("docker-image://") || value.starts_with("oci-layout://")) {
        request.lower.contexts[name] = {.kind = Kind::image, .locator = value};
        return;
    }
    refuse_git(value);
    request.lower.contexts[name] = {.kind = Kind::directory, .locator = {}};
    if (is_url(value)) {
        const StreamContext stream = read_stream_context(value, context);
        if (stream.file) {
            throw Error({.code = "source.no-context",
                         .message = fmt::format("{} of --build-context {} is no tar", util::quote(value), name),
                         .hint = "ADD takes single files from URLs",
                         .where = {}});
        }
        request.context_archives[name] = stream.context;
    } else {
        request.context_directories[name] = value;
    }
}

Platform target_platform(const std::vector<std::string>& platforms) {
    std::vector<std::string> all;
    for (const std::string& value : platforms) {
        for (const std::string_view part : util::split(value, ',')) all.emplace_back(part);
    }
    if (all.empty()) {
        const auto wanted = AppContext::environment("DOCKER_DEFAULT_PLATFORM");
        if (!wanted || wanted->empty()) return Platform::host();
        all.push_back(*wanted);
    }
    if (all.size() > 1) {
        throw usage("usage.unsupported-platforms", "several platforms in one build are not supported yet",
                    "build one platform at a time");
    }
    return all.front() == "local" ? Platform::host() : Platform::parse(all.front());
}

std::optional<std::int64_t> epoch(const std::string& flag) {
    const auto text = flag.empty() ? AppContext::environment("SOURCE_DATE_EPOCH").value_or("") : flag;
    if (text.empty()) return std::nullopt;
    const auto number = util::parse_number(text);
    if (number && *number < (1ULL << 40)) return static_cast<std::int64_t>(*number);
    throw usage("usage.bad-epoch",
                fmt::format("the source date epoch {} is no number of seconds since 1970", util::quote(text)),
                "for example --source-date-epoch $(git log -1 --format=%ct)");
}

// docker has a switch here, podman and buildah have words.
builder::Pull parse_pull(const std::string& text) {
    if (text.empty() || text == "missing" || text == "false") return builder::Pull::missing;
    if (text == "always" || text == "true") return builder::Pull::always;
    if (text == "never") return builder::Pull::never;
    throw usage("usage.bad-pull", fmt::format("--pull={} is neither never, missing nor always", util::quote(text)),
                text == "newer" || text == "ifnewer" ? "always fetches only what is new" : "");
}

std::chrono::milliseconds parse_ttl(const std::string& text) {
    const auto bad = [&] {
        return usage("usage.bad-duration", fmt::format("--tag-ttl {} is no duration", util::quote(text)),
                     "for example 90s, 10m or 24h; 0 asks at every build");
    };
    try {
        const std::chrono::nanoseconds ttl = parser::parse_duration(text);
        if (ttl.count() < 0) throw bad();
        return std::chrono::duration_cast<std::chrono::milliseconds>(ttl);
    } catch (const Error&) {
        throw bad();
    }
}

}  // namespace

bool asks_registries(const BuildOptions& options) {
    return !options.pull.empty() && parse_pull(options.pull) != builder::Pull::never;
}

// Of an option that takes one value the last one counts, as with docker: scripts append theirs.
void add_file_options(CLI::App& command, BuildOptions& options) {
    command
        .add_option("context", options.context,
                    "What COPY and ADD read from: a directory, '-' for a tar or a build file on standard input, or the "
                    "URL of one")
        ->type_name("DIR|-|URL");
    command
        .add_option("-f,--file", options.file,
                    "Build file, or its URL; '-' is standard input (default: Buildfile, Dockerfile or Containerfile in "
                    "DIR)")
        ->take_last();
    command.add_option("--ignorefile", options.ignore_file, "Ignore file in place of .dockerignore and its like")
        ->type_name("FILE")
        ->take_last();
    command.add_option("--target", options.target, "Stage to build, by name or number (default: the last)")
        ->take_last();
    command.add_option("--build-arg", options.build_args, "Value of an ARG; without '=VALUE' from the environment")
        ->type_name("NAME[=VALUE]")
        ->allow_extra_args(false);
    command.add_option("--platform", options.platforms, "Platform of the image, for example linux/amd64")
        ->allow_extra_args(false);
    command
        .add_option(
            "--build-context", options.contexts,
            "Another directory or image by name: NAME=DIR, NAME=docker-image://REF, NAME=oci-layout://DIR[:TAG], "
            "NAME=URL of a tar")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command
        .add_flag("--pull{always}", options.pull,
                  "Ask the registry what a tag means: always (--pull alone), missing (the default: if it is not known "
                  "here, or not for --tag-ttl) or never")
        ->type_name("[=never|missing|always]")
        ->take_last();
    command.add_option("--tag-ttl", options.tag_ttl, "How long a registry's word on a tag is believed (default: 10m)")
        ->type_name("DURATION")
        ->take_last();
}

void add_build_options(CLI::App& command, BuildOptions& options) {
    add_file_options(command, options);
    command.add_option("--label", options.labels, "Label of the image")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command
        .add_option("--source-date-epoch", options.source_date_epoch,
                    "Time of the image and bound of all times in it, seconds since 1970")
        ->type_name("SECONDS")
        ->take_last();
    add_step_options(command, options.steps);
}

builder::BuildRequest make_request(const BuildOptions& options, AppContext& context) {
    builder::BuildRequest request;
    take_files(options, context, request);
    request.ignore_file = options.ignore_file;
    for (const std::string& name : options.names) {
        Reference reference = Reference::parse(name);
        const bool twice = std::any_of(request.names.begin(), request.names.end(),
                                       [&](const Reference& known) { return known.text() == reference.text(); });
        if (!twice) request.names.push_back(std::move(reference));
    }
    request.lower.target = options.target;
    for (const std::string& text : options.build_args) {
        if (auto argument = parse_argument(text)) request.lower.build_args.push_back(std::move(*argument));
    }
    for (const std::string& label : options.labels) {
        const std::size_t equals = label.find('=');
        if (label.empty() || equals == 0) {
            throw usage("usage.bad-label", fmt::format("--label {} has no name", util::quote(label)),
                        "write --label NAME=VALUE");
        }
        request.lower.labels[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
    }
    request.lower.target_platform = target_platform(options.platforms);
    request.lower.build_platform = Platform::host();
    for (const std::string& text : options.contexts) add_context(text, context, request);
    request.source_date_epoch = epoch(options.source_date_epoch);
    apply_step_options(options.steps, request);
    request.pull = parse_pull(options.pull);
    if (!options.tag_ttl.empty()) request.tag_ttl = parse_ttl(options.tag_ttl);
    return request;
}

}  // namespace imgbuild::cli
