// From a parsed build file to a graph and the config of the image that it makes.
//
// This is the only place below cli that knows Dockerfile semantics: scopes of ARG, inheritance between stages, what an
// instruction does to the image's config. It reads no files and asks no registry: images are resolved through a
// callback, so that a test can lower against images that exist nowhere. Only what the target needs is lowered and
// resolved.
//
//     const BuildFile file = parser::parse_file(source);
//     const Lowered lowered = lower(file.require_valid(), options, resolve);
//     fmt::print("{}", to_json(lowered.graph, lowered.result, options.target_platform));
#pragma once

#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>

#include "builder/graph.hpp"
#include "oci/image_config.hpp"
#include "parser/file.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

/// What a --build-context value stands for.
struct NamedContext {
    enum class Kind { directory, image };
    Kind kind = Kind::directory;
    /// image: what the resolver understands ("oci-layout://…", "docker-image://…" without the scheme).
    std::string locator;
};

/// What holds for every RUN of a build.
struct RunOptions {
    /// For a RUN without --network, or with --network=default.
    Network network = Network::host;
    /// --allow security.insecure: a RUN may ask for --security=insecure.
    bool allow_insecure = false;
    std::vector<std::pair<std::string, std::string>> hosts;
    std::vector<Ulimit> ulimits;
    /// Of /dev/shm, bytes; 0: the default.
    std::uint64_t shm_size = 0;
};

struct LowerOptions {
    /// Stage name or index; empty: the last stage.
    std::string target;
    /// --build-arg, in order; a later one of the same name wins.
    std::vector<std::pair<std::string, std::string>> build_args;
    /// --label: put on the image after everything that the file says.
    std::map<std::string, std::string, std::less<>> labels;
    std::map<std::string, NamedContext, std::less<>> contexts;
    Platform target_platform;
    Platform build_platform;
    RunOptions run;
};

/// An image that FROM or --from names. `locator` identifies it for whoever carries the graph out.
struct BaseImage {
    std::string locator;
    oci::ImageConfig config;
};

/// Called with a reference as the file has it, or a named context's locator. Throws; may be called for one name often.
using ResolveImage = std::function<BaseImage(const std::string& name, const Platform& platform)>;

struct Lowered {
    Graph graph;
    /// The node whose layers the image has; nothing: an image without layers.
    std::optional<NodeId> result;
    /// Of the image, but for what only the carried out build knows: diff ids and times. Its history is complete but for
    /// times.
    oci::ImageConfig config;
    /// SOURCE_DATE_EPOCH as a build argument, if the target has it.
    std::string source_date_epoch;
    /// The parser's, and --build-arg values that nothing uses.
    std::vector<Diagnostic> warnings;
};

/// Throws ParseError or Error with a place in the file: "parse.unknown-stage", "usage.unsupported-instruction" …
Lowered lower(const parser::BuildFile& file, const LowerOptions& options, const ResolveImage& resolve);

/// The outside images that the target can need, found without resolving anything, so that they can be resolved in
/// parallel before lowering. Triggers of base images may need more.
struct ImageRequest {
    std::string name;
    Platform platform;

    friend auto operator<=>(const ImageRequest& a, const ImageRequest& b) {
        return std::pair(a.name, a.platform.text()) <=> std::pair(b.name, b.platform.text());
    }
    friend bool operator==(const ImageRequest&, const ImageRequest&) = default;
};
std::set<ImageRequest> images_needed(const parser::BuildFile& file, const LowerOptions& options);

/// What the target surely copies from the build context, as far as that can be told before images are known: COPY and
/// ADD without variables. For reading ahead, so destinations and the like are left out.
std::vector<CopyFiles> context_reads(const parser::BuildFile& file, const LowerOptions& options);

}  // namespace imgbuild::builder
