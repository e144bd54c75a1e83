// Building an image from a build file (Dockerfile syntax) and a directory.
//
//     imgbuild::BuildRequest request;
//     request.context = "/src/app";
//     request.names = {imgbuild::Reference::parse("registry.example/team/app:1")};
//     request.outputs = {imgbuild::Output::push()};
//     try {
//         const imgbuild::BuildResult result = imgbuild::build(request);
//         std::cout << result.image_id.text() << '\n';
//     } catch (const imgbuild::StepFailed& failed) {
//         std::cerr << failed.what() << '\n' << failed.log_tail();
//     }
//
// Nothing half-made is ever visible: names, files and manifests appear when all that they stand for is there. A build
// that failed, was cancelled or was killed leaves finished steps in the cache, and nothing else.
//
// Texts are UTF-8, but paths and build arguments may hold any bytes except NUL.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/progress.hpp>
#include <imgbuild/reference.hpp>
#include <imgbuild/worker.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild {

/// Where an image goes besides the store. Made by the functions below.
struct Output {
    enum class Kind {
        /// An OCI layout in a tar archive.
        oci_archive,
        /// The same, which `docker load` reads as well.
        docker_archive,
        /// An OCI layout in a directory.
        oci_layout,
        /// The registries of the image's names.
        registry,
        /// The image's files in a directory, without the image.
        files,
        /// The image's files as one tar.
        files_tar,
    };
    Kind kind = Kind::registry;
    /// File or directory; relative to the current directory if not absolute. Not used by `registry`.
    std::string path;
    /// An archive or a tar without a path: an open descriptor that is written to, for example the end of a pipe. It
    /// stays the caller's, who closes it. One output of a build may have one.
    int descriptor = -1;

    static Output archive(std::string path) { return {.kind = Kind::oci_archive, .path = std::move(path)}; }
    static Output archive_to(int descriptor) {
        return {.kind = Kind::oci_archive, .path = {}, .descriptor = descriptor};
    }
    static Output docker_archive(std::string path) { return {.kind = Kind::docker_archive, .path = std::move(path)}; }
    static Output files(std::string directory) { return {.kind = Kind::files, .path = std::move(directory)}; }
    static Output files_tar(std::string path) { return {.kind = Kind::files_tar, .path = std::move(path)}; }
    static Output layout(std::string directory) { return {.kind = Kind::oci_layout, .path = std::move(directory)}; }
    static Output push() { return {}; }
};

struct Compression {
    enum class Kind { none, gzip, zstd };
    Kind kind = Kind::gzip;
    /// gzip 1 to 12, zstd 1 to 19; 0 is the default. Not used by `none`.
    int level = 0;
};

/// Whether registries are asked for base images.
enum class Pull {
    /// Not at all: an image that is not known here is an error ("source.not-pulled").
    never,
    /// If the store has no image of that name and nothing is known of the name; see BuildRequest::tag_ttl.
    missing,
    always,
};

struct BuildRequest {
    /// The directory that COPY and ADD read from; relative to the current directory if not absolute.
    std::string context = ".";
    /// Path of the build file. Empty: Buildfile, Dockerfile or Containerfile in the context, the first that exists.
    std::string file;
    /// The build file itself, instead of reading `file`; `file` is then only its name in messages.
    std::optional<std::string> text;
    /// The ignore file of the context. Empty: the one beside the build file or in the context, as docker has it.
    std::string ignore_file;
    /// Stage to build, by name or number. Empty: the last one.
    std::string target;
    /// Values of ARGs. A later one of the same name wins.
    std::vector<std::pair<std::string, std::string>> build_args;
    /// Labels of the image, besides those of the file.
    std::map<std::string, std::string> labels;
    /// Annotations of the image's manifest.
    std::map<std::string, std::string> annotations;
    /// The value of a secret that a RUN mounts by its id, at most 500 KiB; nothing: there is no such secret. Called on
    /// the calling thread, and may throw as WorkerOptions::credentials may. The value goes to the worker in a memory
    /// file, and is in no line, log, key or layer.
    std::function<std::optional<std::string>(const std::string& id)> secret;
    /// Sockets of ssh agents that a RUN mounts: id ("default" is the one without an id) → path.
    std::map<std::string, std::string> ssh_agents;
    /// More lines of /etc/hosts for every RUN: name → address.
    std::vector<std::pair<std::string, std::string>> hosts;
    /// Without a network for RUNs that do not ask for one.
    bool no_network = false;
    /// Other contexts by name: a directory, "docker-image://REFERENCE" or "oci-layout://DIR[:TAG]".
    std::map<std::string, std::string> contexts;
    /// Nothing: that of this machine.
    std::optional<Platform> platform;
    /// Names that the image gets in the store, and the places that an output to registries pushes to. Without digests.
    std::vector<Reference> names;
    std::vector<Output> outputs;
    /// Of layers that are packed for an output.
    Compression compression;
    /// Runs every step, whatever the cache has.
    bool no_cache = false;
    Pull pull = Pull::missing;
    /// How long a registry's word on a tag is believed before it is asked again; 0: not at all.
    std::chrono::milliseconds tag_ttl = std::chrono::minutes(10);
    /// Time of the image and bound of all times in it, seconds since 1970. Nothing: see docs/determinism.md.
    std::optional<std::int64_t> source_date_epoch;
    /// Most steps at once; at least 1.
    unsigned jobs = 16;
};

struct BuildResult {
    /// The digest of the image's config. Equal requests give equal ids, on any machine.
    Digest image_id;
    /// Of the image's manifest; known if an output needed one.
    std::optional<Digest> manifest;
    /// What the build file's author may not have meant, in the order in which it was found.
    std::vector<event::Warning> warnings;
};

/// Builds, and returns when everything is done. `progress` (may be null) is called on the calling thread only; while it
/// does not return, the build waits for it. When `stop` fires the build ends within moments and Cancelled is thrown.
///
/// Throws ParseError (all problems of the build file), StepFailed (a RUN failed: exit code, end of its output, path of
/// the whole), RegistryError, UsageError, IoError, CorruptData, Cancelled, WorkerFailed, or Error; by docs/errors.md
/// each has a stable code(). Their places point into the build file as it was read.
BuildResult build(const BuildRequest& request, const WorkerOptions& worker = {}, ProgressSink* progress = nullptr,
                  std::stop_token stop = {});

}  // namespace imgbuild
