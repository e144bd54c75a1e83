// A whole build: from a build file and a directory to an image in the store, and to wherever else it was asked for.
//
//     BuildRequest request{.file = …, .context = ".", .names = {Reference::parse("app:1")}};
//     const BuildResult result = build(request, services, stop);
//
// Nothing half-made is ever visible: the image gets its names, files appear, and manifests are pushed only when all
// that they stand for is there. A failure leaves finished steps in the cache and nothing else.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/progress.hpp>
#include <imgbuild/reference.hpp>

#include "builder/frontend/lower.hpp"
#include "builder/images.hpp"
#include "builder/ops/file_op.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "layers/codec.hpp"
#include "layers/store.hpp"
#include "registry/client.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Where the image goes besides the store.
struct Output {
    enum class Kind {
        /// An OCI layout in a tar archive.
        oci_archive,
        /// An OCI layout in a directory.
        oci_layout,
        /// The registries of the request's names.
        registry,
    };
    Kind kind = Kind::oci_archive;
    /// File or directory; "-" for an archive is standard output. Not used by `registry`.
    std::string destination;
};

struct BuildRequest {
    std::shared_ptr<const SourceFile> file;
    /// Path of the build file for its own ignore file; empty if it is not a file.
    std::string file_path;
    std::string context;
    /// name → directory; named contexts of other kinds are in lower.contexts only.
    std::map<std::string, std::string, std::less<>> context_directories;
    LowerOptions lower;
    std::vector<Reference> names;
    std::vector<Output> outputs;
    CacheUse cache = CacheUse::read_and_write;
    Pull pull = Pull::missing;
    layers::Codec codec;
    /// Seconds since 1970; overrides what the context and the layers say.
    std::optional<std::int64_t> source_date_epoch;
    /// Steps at once.
    unsigned jobs = 16;
};

/// What a build works with. All of it outlives the call.
struct Services {
    layers::Store& store;
    registry::RegistryClient& registry;
    /// Called at most once, when a command has to run. `scratch` is an empty directory of the store's lease, for what
    /// the machine is asked by trying; it goes when the call returns.
    std::function<std::unique_ptr<sandbox::Sandbox>(const std::string& scratch)> make_sandbox;
    ProgressSink& progress;
    unsigned threads = 2;
};

struct BuildResult {
    /// The image's id: the digest of its config.
    Digest image_id;
    /// Known if an output needed a manifest.
    std::optional<Digest> manifest;
};

BuildResult build(const BuildRequest& request, const Services& services, std::stop_token stop);

/// The graph of the request's target, without carrying anything out. Images are resolved. What checks find in the file
/// is among the warnings; throws Error "check.failed" if the file says that findings are errors.
Lowered plan_build(const BuildRequest& request, Images& images, unsigned threads, std::stop_token stop);

}  // namespace imgbuild::builder
