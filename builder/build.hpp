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

#include "builder/context/archive_context.hpp"
#include "builder/frontend/lower.hpp"
#include "builder/images.hpp"
#include "builder/ops/file_op.hpp"
#include "builder/sandbox/sandbox.hpp"
#include "builder/secrets.hpp"
#include "builder/squash.hpp"
#include "layers/codec.hpp"
#include "layers/store.hpp"
#include "oci/descriptor.hpp"
#include "registry/client.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

namespace imgbuild::builder {

/// Where the image goes besides the store, or its files go instead.
struct Output {
    enum class Kind {
        /// An OCI layout in a tar archive.
        oci_archive,
        /// The same, which `docker load` reads as well.
        docker_archive,
        /// An OCI layout in a directory.
        oci_layout,
        /// The registries of the names.
        registry,
        /// The store, where it is anyway: for the names.
        image,
        /// The image's files in a directory, without the image.
        local,
        /// The image's files as one tar.
        tar,
        /// Nowhere: only the cache is filled.
        cacheonly,
    };
    Kind kind = Kind::oci_archive;
    /// File or directory; "-" for an archive or a tar is standard output. Not used by the others.
    std::string destination;
    /// Names of the image in this output; none: those of the request.
    std::vector<Reference> names = {};
    /// How layers are compressed; nothing: as the request says.
    std::optional<layers::Codec> codec = {};
    /// Layers of the base image that are compressed in another way are compressed anew.
    Recompress recompress = Recompress::no;
    /// registry: the manifest is pushed under its digest alone.
    bool by_digest = false;
    /// local and tar: everything below a directory named after the platform.
    bool platform_folder = false;
    /// Of the manifest, and of its descriptor in the index of a layout or an archive. These win over the request's.
    oci::Annotations annotations = {};
    oci::Annotations descriptor_annotations = {};
};

/// Do the image's files go there, rather than the image?
inline bool is_files(Output::Kind kind) {
    return kind == Output::Kind::local || kind == Output::Kind::tar;
}

struct BuildRequest {
    std::shared_ptr<const SourceFile> file;
    /// Path of the build file for its own ignore file; empty if it is not a file.
    std::string file_path;
    /// The ignore file of the build context; empty: the one that is found beside the build file or in the context.
    std::string ignore_file = {};
    /// A directory; not used if the context came as an archive.
    std::string context;
    std::shared_ptr<const ArchiveContext> context_archive = {};
    /// name → directory or archive; named contexts of other kinds are in lower.contexts only.
    std::map<std::string, std::string, std::less<>> context_directories;
    std::map<std::string, std::shared_ptr<const ArchiveContext>, std::less<>> context_archives = {};
    LowerOptions lower;
    std::vector<Reference> names;
    std::vector<Output> outputs;
    /// As in Output, for all of them.
    oci::Annotations annotations = {};
    oci::Annotations descriptor_annotations = {};
    Squash squash = Squash::no;
    CacheUse cache = CacheUse::read_and_write;
    /// Names or numbers of stages whose steps run whatever the cache has.
    std::set<std::string> uncached_stages = {};
    Pull pull = Pull::missing;
    /// See ImagesOptions.
    std::chrono::milliseconds tag_ttl = kTagTtl;
    layers::Codec codec;
    /// Seconds since 1970; overrides what the context and the layers say.
    std::optional<std::int64_t> source_date_epoch;
    /// Steps at once.
    unsigned jobs = 16;
    Confidants confidants;
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
    /// Of the first output that needed a manifest.
    std::optional<Digest> manifest;
    /// The same manifest, with size, platform and annotations.
    std::optional<oci::Descriptor> descriptor = {};
    /// The image's own time.
    std::int64_t time = 0;
    /// Everything that the image is called in the store and in the outputs, each once.
    std::vector<Reference> names = {};
    /// What the user may not have meant, as it was reported.
    std::vector<Diagnostic> warnings = {};
};

BuildResult build(const BuildRequest& request, const Services& services, std::stop_token stop);

/// The graph of the request's target, without carrying anything out. Images are resolved. What checks find in the file
/// is among the warnings; throws Error "check.failed" if the file says that findings are errors.
Lowered plan_build(const BuildRequest& request, Images& images, unsigned threads, std::stop_token stop);

}  // namespace imgbuild::builder
