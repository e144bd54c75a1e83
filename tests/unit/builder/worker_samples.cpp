#include "tests/unit/builder/worker_samples.hpp"

#include <imgbuild/reference.hpp>

#include "util/bytes.hpp"

namespace imgbuild::worker::test {
namespace {

Digest digest(const char* text) {
    return util::Sha256::of(text);
}

const Span kSpan{.line = 2, .column = 5, .end_line = 2, .end_column = 9};
const Diagnostic kDiagnostic{.severity = Severity::warning,
                             .code = "build.unused-argument",
                             .message = "no ARG takes 'X'",
                             .hint = "remove it",
                             .span = kSpan};
const StepInfo kStep{.number = 3, .stage = "build", .position = "build 2/4", .instruction = "RUN make", .line = 7};

}  // namespace

builder::BuildRequest full_request() {
    using namespace builder;
    BuildRequest out;
    out.file = std::make_shared<const SourceFile>(SourceFile{.name = "Buildfile", .text = "FROM a\nRUN \xff\n"});
    out.file_path = "/src/Buildfile";
    out.ignore_file = "/src/ignore";
    out.context = "/src";
    out.context_directories = {{"other", "/other"}};
    out.lower.target = "final";
    out.lower.build_args = {{"A", "1"}, {"A", "2"}};
    out.lower.labels = {{"name", "value"}};
    out.lower.contexts = {{"base", {.kind = NamedContext::Kind::image, .locator = "oci-layout:///base"}}};
    out.lower.target_platform = {.os = "linuxy", .architecture = "arm", .variant = "v7", .os_version = "1"};
    out.lower.build_platform = {.os = "linuxx", .architecture = "amd64", .variant = "v2", .os_version = "2"};
    out.names = {Reference::parse("127.0.0.1:5000/app:1")};
    out.lower.run = {.network = Network::none,
                     .allow_insecure = true,
                     .hosts = {{"db", "10.0.0.1"}},
                     .ulimits = {{.name = "nofile", .soft = 1, .hard = 2}},
                     .shm_size = 4096};
    out.outputs = {{.kind = Output::Kind::oci_layout,
                    .destination = "/out",
                    .names = {Reference::parse("other:1")},
                    .codec = layers::Codec{.kind = layers::Codec::Kind::gzip, .level = 9},
                    .recompress = Recompress::yes,
                    .by_digest = true,
                    .platform_folder = true,
                    .annotations = {{"a", "1"}},
                    .descriptor_annotations = {{"b", "2"}}}};
    out.annotations = {{"c", "3"}};
    out.descriptor_annotations = {{"d", "4"}};
    out.squash = Squash::all;
    out.uncached_stages = {"build", "final"};
    out.cache = CacheUse::write;
    out.pull = Pull::always;
    out.tag_ttl = std::chrono::minutes(3);
    out.codec = {.kind = layers::Codec::Kind::zstd, .level = 19};
    out.source_date_epoch = 1700000000;
    out.jobs = 3;
    return out;
}

std::vector<FromHost> host_samples() {
    const auto request = [](Task task) {
        return Request{.store = "/store",
                       .plain_http = {"registry.local:5000"},
                       .task = std::move(task),
                       .answers = {"secret", "agent", "credentials"},
                       .descriptors = {"stdin", "stdout"}};
    };
    return {request(full_request()),
            request(ListImages{}),
            request(InspectImage{.image = "app:1"}),
            request(TagImage{.image = "app:1", .name = "app:2"}),
            request(RemoveImage{.image = "app:1"}),
            request(PullImage{.name = "app:1",
                              .platform = {.os = "linux", .architecture = "arm", .variant = "v7", .os_version = "1"}}),
            request(SendImage{.image = "app:1",
                              .output = {.kind = builder::Output::Kind::registry, .destination = "d"},
                              .names = {Reference::parse("app:1")},
                              .codec = {.kind = layers::Codec::Kind::none, .level = 1}}),
            Answer{.number = 7,
                   .found = true,
                   .text = "/run/agent",
                   .failure = Failure{.code = "build.x", .message = "m"},
                   .has_descriptor = true},
            Cancel{}};
}

std::vector<FromWorker> worker_samples() {
    const ImageOnWire image{.id = digest("config"),
                            .names = {"docker.io/library/app:1"},
                            .created = -1,
                            .size = 1ULL << 40,
                            .layers = {DiffId(digest("layer"))},
                            .config = "{}"};
    return {Hello{.version = "0.1.0"},
            WireEvent(event::BuildPlanned{.total = 4}),
            WireEvent(event::StepStarted{.step = kStep}),
            WireEvent(OutputEvent{.number = 3, .is_stderr = true, .text = "caf\xe9 \xc3\xa9\n"}),
            WireEvent(event::StepTransfer{.number = 1, .what = "layer", .done = 5, .total = 10}),
            WireEvent(event::StepFinished{.step = kStep,
                                          .outcome = StepOutcome::cached,
                                          .duration = std::chrono::milliseconds(12),
                                          .detail = "all inputs are the same"}),
            WireEvent(WarningEvent{.diagnostic = kDiagnostic, .file = FileOnWire{.name = "Buildfile", .text = {}}}),
            Ask{.number = 7, .question = SecretQuestion{.id = "npm"}},
            Ask{.number = 8, .question = AgentQuestion{.id = "default"}},
            Ask{.number = 9, .question = CredentialsQuestion{.domain = "quay.io", .path = "team/app"}},
            Result(BuildDone{.image_id = digest("config"), .manifest = digest("manifest")}),
            Result(ImageList{.images = {image}}),
            Result(image),
            Result(SendDone{.manifest = digest("manifest")}),
            Result(Done{}),
            Failure{.kind = Failure::Kind::step_failed,
                    .code = "build.step-failed",
                    .message = "the command ended with exit code 2",
                    .hint = "read the log",
                    .frames = {"outer", "inner"},
                    .where = Failure::Place{.file = FileOnWire{.name = "B", .text = "FROM a\n"}, .span = kSpan},
                    .diagnostics = {kDiagnostic},
                    .error_number = 2,
                    .status = 401,
                    .retry = true,
                    .exit_code = 2,
                    .log_tail = "make: *** [all] Error 2",
                    .log_path = "/store/logs/1"}};
}

}  // namespace imgbuild::worker::test
