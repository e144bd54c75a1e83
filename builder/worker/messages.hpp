// What a worker and the program that started it say to each other, as values (docs/worker-protocol.md).
//
//     host                                  worker
//       |  <- Hello                            |     which protocol, which version
//       |  Request ->                          |     once
//       |  <- event, event, …                  |
//       |  <- Ask, and Answer ->               |     for secrets, agents, credentials
//       |  Cancel ->                           |     at most once, any time
//       |  <- Result or Failure                |     once; then the worker ends
//
// Each is one line of JSON. The host's end of file is a Cancel that nobody waits for.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/error.hpp>
#include <imgbuild/platform.hpp>
#include <imgbuild/progress.hpp>

#include "builder/build.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace imgbuild::worker {

/// Raised with every change that an older side would misunderstand. Both sides are installed together, so there is no
/// negotiation: another number is refused.
inline constexpr unsigned kProtocol = 1;

/// The worker's first line.
struct Hello {
    unsigned protocol = kProtocol;
    /// Of the program, for messages.
    std::string version;
};

// ---------------------------------------------------------------- requests

struct ListImages {};
struct InspectImage {
    /// A name, or the beginning of an id.
    std::string image;
};
struct TagImage {
    std::string image;
    std::string name;
};
/// By name only that name goes, and the image with its last one; by id the image with all its names.
struct RemoveImage {
    std::string image;
};
/// Fetches an image from its registry into the store, under its name.
struct PullImage {
    std::string name;
    Platform platform;
};
/// Writes an image of the store to `output`, under `names` there.
struct SendImage {
    std::string image;
    builder::Output output;
    std::vector<Reference> names;
    layers::Codec codec;
};

using Task = std::variant<builder::BuildRequest, ListImages, InspectImage, TagImage, RemoveImage, PullImage, SendImage>;

/// The host's first line. Paths are the worker's to open: absolute ones, since its directory is not the host's.
struct Request {
    unsigned protocol = kProtocol;
    /// Directory of the store; empty: the default place.
    std::string store;
    /// Registries that are spoken to without TLS.
    std::vector<std::string> plain_http;
    Task task;
    /// Which questions the host answers: "secret", "agent", "credentials". The others are not asked.
    std::vector<std::string> answers;
    /// What the descriptors that came with the line are to be in the worker: "stdin", "stdout".
    std::vector<std::string> descriptors;
};

struct Cancel {};

// ---------------------------------------------------------------- questions

/// The value of a secret, as `RUN --mount=type=secret,id=…` names it. The answer has a descriptor.
struct SecretQuestion {
    std::string id;
};
/// The path of the socket of an ssh agent, as `RUN --mount=type=ssh,id=…` names it. The answer has a text.
struct AgentQuestion {
    std::string id;
};
/// Who we are to a registry: `domain` and `path` of a repository. The answer has a descriptor, whose file holds a JSON
/// object with "username" and "password", or "identity_token", or "registry_token".
struct CredentialsQuestion {
    std::string domain;
    std::string path;
};
using Question = std::variant<SecretQuestion, AgentQuestion, CredentialsQuestion>;

// ---------------------------------------------------------------- answers

/// A file that a place points into. The build file of the request is not sent back: it has no text.
struct FileOnWire {
    std::string name;
    std::optional<std::string> text;
};

// The events of <imgbuild/progress.hpp>; those whose members live only during a call have owning twins here.
struct OutputEvent {
    std::size_t number = 0;
    bool is_stderr = false;
    std::string text;
};
struct WarningEvent {
    Diagnostic diagnostic;
    std::optional<FileOnWire> file;
};
using WireEvent = std::variant<event::BuildPlanned, event::StepStarted, OutputEvent, event::StepTransfer,
                               event::StepFinished, WarningEvent>;

/// An image of the store.
struct ImageOnWire {
    Digest id;
    std::vector<std::string> names;
    /// Seconds since 1970.
    std::int64_t created = 0;
    /// Bytes of all uncompressed layers.
    std::uint64_t size = 0;
    std::vector<DiffId> layers;
    /// JSON bytes, of which `id` is the digest.
    std::string config;
};

struct BuildDone {
    Digest image_id;
    std::optional<Digest> manifest;
};
struct ImageList {
    std::vector<ImageOnWire> images;
};
struct SendDone {
    Digest manifest;
};
struct Done {};
using Result = std::variant<BuildDone, ImageList, ImageOnWire, SendDone, Done>;

/// An error of any type, flat: what a type does not have is 0 or empty.
struct Failure {
    enum class Kind { error, usage, parse, io, corrupt, registry, step_failed, cancelled };
    struct Place {
        std::optional<FileOnWire> file;
        Span span;
    };

    Kind kind = Kind::error;
    std::string code;
    std::string message;
    std::string hint;
    std::vector<std::string> frames;
    std::optional<Place> where;
    /// parse
    std::vector<Diagnostic> diagnostics;
    /// io: errno
    int error_number = 0;
    /// registry
    int status = 0;
    bool retry = false;
    /// step_failed
    int exit_code = 0;
    std::string log_tail;
    std::string log_path;
};

/// A question, with a number that its answer repeats. Many may be open at once.
struct Ask {
    unsigned number = 0;
    Question question;
};
/// Values that must stay secret travel as descriptors, never in a line.
struct Answer {
    unsigned number = 0;
    /// The host has no such thing.
    bool found = false;
    std::string text;
    /// What went wrong instead.
    std::optional<Failure> failure;
    /// A descriptor came with the line: a file that is read from its beginning.
    bool has_descriptor = false;
};

using FromWorker = std::variant<Hello, WireEvent, Ask, Result, Failure>;
using FromHost = std::variant<Request, Answer, Cancel>;

}  // namespace imgbuild::worker
