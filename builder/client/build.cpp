#include <imgbuild/build.hpp>

#include "builder/client/output.hpp"
#include "builder/client/session.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <array>
#include <utility>

namespace imgbuild {
namespace {

using builder::NamedContext;

constexpr std::size_t kLargestFile = std::size_t{16} << 20;
constexpr std::array<const char*, 4> kFileNames = {"Buildfile", "Dockerfile", "Containerfile", "dockerfile"};

Error no_build_file(std::string message, std::string hint) {
    return Error({.code = "source.no-build-file", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

std::string find_file(const std::string& context) {
    for (const char* name : kFileNames) {
        std::string path = context + "/" + name;
        if (::access(path.c_str(), F_OK) == 0) return path;
    }
    throw no_build_file(fmt::format("there is no Buildfile, Dockerfile or Containerfile in {}", util::quote(context)),
                        "name it by BuildRequest::file");
}

void set_file(const BuildRequest& request, builder::BuildRequest& out) {
    SourceFile file{.name = request.file, .text = {}};
    if (request.text) {
        if (file.name.empty()) file.name = kFileNames[0];
        file.text = *request.text;
    } else {
        if (file.name.empty()) file.name = find_file(request.context);
        out.file_path = client::absolute_path(file.name);
        try {
            file.text = util::read_file(file.name, kLargestFile);
        } catch (const IoError& error) {
            throw no_build_file(fmt::format("the build file cannot be read: {}", error.message()), error.hint());
        }
    }
    out.file = std::make_shared<const SourceFile>(std::move(file));
}

void add_context(const std::string& name, const std::string& value, builder::BuildRequest& out) {
    const bool is_image = value.starts_with("docker-image://") || value.starts_with("oci-layout://");
    out.lower.contexts[name] = {.kind = is_image ? NamedContext::Kind::image : NamedContext::Kind::directory,
                                .locator = is_image ? value : std::string()};
    if (!is_image) out.context_directories[name] = client::absolute_path(value);
}

builder::Pull to_builder(Pull pull) {
    switch (pull) {
        case Pull::never:
            return builder::Pull::never;
        case Pull::missing:
            return builder::Pull::missing;
        case Pull::always:
            return builder::Pull::always;
    }
    std::unreachable();
}

builder::BuildRequest to_builder(const BuildRequest& request, client::Descriptors& descriptors) {
    builder::BuildRequest out;
    set_file(request, out);
    out.context = client::absolute_path(request.context);
    for (const auto& [name, value] : request.contexts) add_context(name, value, out);
    out.lower.target = request.target;
    out.lower.build_args = request.build_args;
    out.lower.labels = {request.labels.begin(), request.labels.end()};
    out.lower.target_platform = request.platform.value_or(Platform::host());
    out.lower.build_platform = Platform::host();
    out.ignore_file = client::absolute_path(request.ignore_file);
    out.annotations = {request.annotations.begin(), request.annotations.end()};
    out.lower.run.hosts = request.hosts;
    if (request.no_network) out.lower.run.network = builder::Network::none;
    out.names = request.names;
    for (const Output& output : request.outputs) out.outputs.push_back(client::to_builder(output, descriptors));
    out.codec = client::to_builder(request.compression);
    out.cache = request.no_cache ? builder::CacheUse::write : builder::CacheUse::read_and_write;
    out.pull = to_builder(request.pull);
    out.tag_ttl = request.tag_ttl;
    out.source_date_epoch = request.source_date_epoch;
    out.jobs = request.jobs;
    return out;
}

void require_usable(const BuildRequest& request) {
    for (const Reference& name : request.names) client::require_no_digest(name);
    for (const Output& output : request.outputs) {
        if (output.kind != Output::Kind::registry || !request.names.empty()) continue;
        throw UsageError({.code = "usage.no-name",
                          .message = "an image without a name cannot be pushed",
                          .hint = "add one to BuildRequest::names",
                          .where = {}});
    }
    if (request.jobs != 0) return;
    throw UsageError({.code = "usage.bad-request",
                      .message = "a build with no step at once would never end",
                      .hint = "BuildRequest::jobs is at least 1",
                      .where = {}});
}

}  // namespace

BuildResult build(const BuildRequest& request, const WorkerOptions& worker, ProgressSink* progress,
                  std::stop_token stop) {
    require_usable(request);
    client::Descriptors descriptors;
    builder::BuildRequest task = to_builder(request, descriptors);
    BuildResult out;
    const client::Listening listening{.progress = progress,
                                      .stop = std::move(stop),
                                      .file = task.file,
                                      .secret = request.secret,
                                      .agents = request.ssh_agents,
                                      .warnings = &out.warnings};
    const auto done = client::require_result<worker::BuildDone>(
        client::run_task(std::move(task), worker, listening, descriptors.names, descriptors.fds));
    out.image_id = done.image_id;
    out.manifest = done.manifest;
    return out;
}

}  // namespace imgbuild
