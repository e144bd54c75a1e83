// The facade against workers that are shell scripts: what they say, and how they end, is in the test's hand.
#include <imgbuild/imgbuild.hpp>

#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

namespace imgbuild {
namespace {

using std::chrono::steady_clock;

/// A worker program, and what it leaves behind.
class Script {
public:
    /// Reads the request before `body`; `body` writes to descriptor 3. "$0.out" is a place for notes.
    explicit Script(const std::string& body, const std::string& hello = R"({"hello":{"protocol":1,"version":"t"}})") {
        util::AtomicFile file(path(), 0755);
        file.write("#!/bin/sh\n[ -z '" + hello + "' ] || { echo '" + hello + "' >&3; read -r request <&3; }\n" + body);
        file.commit();
    }
    std::string path() const { return directory_.path() + "/worker"; }
    std::string notes() const { return util::read_file(path() + ".out", 1U << 20); }
    WorkerOptions options() const {
        WorkerOptions out;
        out.program = path();
        return out;
    }
    ImageStore store() const { return ImageStore(options()); }

private:
    util::TempDir directory_{"/tmp", "imgbuild-test-"};
};

const std::string kDone = "echo '{\"result\":{\"done\":{}}}' >&3\n";

BuildRequest request_of(const std::string& text) {
    BuildRequest out;
    out.context = "/tmp";
    out.text = text;
    return out;
}

struct Seen {
    std::string code;
    std::string message;
    std::string hint;
};

template <class Type>
Seen failure(auto&& body) {
    try {
        body();
    } catch (const Type& error) {
        return {error.code(), error.message(), error.hint()};
    }
    return {};
}

}  // namespace

TEST_CASE("a worker that is not there is told with a way out") {
    WorkerOptions options;
    options.program = "/nowhere/imgbuild";
    const Seen seen = failure<WorkerFailed>([&] { ImageStore(options).list(); });
    CHECK(seen.code == "worker.not-started");
    CHECK(seen.message == "start the worker '/nowhere/imgbuild': execute: No such file or directory");
    CHECK(seen.hint.contains("IMGBUILD_WORKER"));
}

TEST_CASE("a worker that ends without a result is told with what it said last") {
    const Seen seen =
        failure<WorkerFailed>([] { Script("echo first >&2; echo last words >&2; exit 3").store().list(); });
    CHECK(seen.code == "worker.died");
    CHECK(seen.message.ends_with("ended without a result: exit code 3, after saying 'last words'"));
    const Seen early = failure<WorkerFailed>([] { Script("exit 4", "").store().list(); });
    CHECK(early.message.ends_with("ended without a result: exit code 4"));
    const Seen killed = failure<WorkerFailed>([] { Script("kill -9 $$").store().list(); });
    CHECK(killed.message.ends_with("ended without a result: signal 9"));
}

TEST_CASE("what a worker writes to standard error cannot fill the memory") {
    CHECK(failure<WorkerFailed>([] { Script("seq 1 1000000 >&2; exit 3").store().list(); }).code == "worker.died");
}

TEST_CASE("a worker that speaks something else is told so") {
    const auto code_of = [](const Script& script) {
        return failure<WorkerFailed>([&] { script.store().list(); }).code;
    };
    CHECK(code_of(Script("", R"({"hello":{"protocol":99,"version":"9"}})")) == "worker.version");
    CHECK(code_of(Script("", "hello")) == "worker.version");
    CHECK(code_of(Script("echo '{\"surprise\":1}' >&3")) == "worker.version");
    CHECK(code_of(Script(kDone)) == "worker.bad-message");
}

TEST_CASE("an error of the worker's keeps its type, also one that could be our own") {
    const Script script(R"(echo '{"error":{"kind":"io","code":"io.not-found","message":"m","error_number":2}}' >&3)");
    CHECK(failure<IoError>([&] { script.store().list(); }).code == "io.not-found");
    const Script corrupt(R"(echo '{"error":{"kind":"corrupt","code":"worker.version","message":"m"}}' >&3)");
    CHECK(failure<CorruptData>([&] { corrupt.store().list(); }).message == "m");
}

TEST_CASE("nothing of the host reaches the worker but the environment") {
    const Script script(R"sh(
grep -E '^Sig(Blk|Ign)' /proc/self/status > "$0.out"
umask >> "$0.out"; pwd >> "$0.out"
[ -e /proc/$$/fd/50 ] && echo a descriptor >> "$0.out"
[ "$(ps -o sid= -p $$ | tr -d ' ')" = $$ ] && echo own session >> "$0.out"
)sh" + kDone);
    const util::Fd inheritable(::fcntl(STDERR_FILENO, F_DUPFD, 50));
    const mode_t mask = ::umask(0);
    std::signal(SIGUSR1, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    script.store().tag("a", Reference::parse("b"));
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    std::signal(SIGUSR1, SIG_DFL);
    ::umask(mask);
    const std::string zero = "0000000000000000\n";
    CHECK(script.notes() == "SigBlk:\t" + zero + "SigIgn:\t" + zero + "0022\n/\nown session\n");
}

TEST_CASE("the worker's environment is the one that was given") {
    const Script script("env > \"$0.out\"\n" + kDone);
    WorkerOptions options = script.options();
    options.environment = {{"A", "b c"}, {"PATH", "/usr/bin:/bin"}};
    ImageStore(options).tag("a", Reference::parse("b"));
    CHECK(script.notes().contains("A=b c\n"));
    CHECK_FALSE(script.notes().contains("HOME="));
}

TEST_CASE("a host that ignores SIGCHLD loses no result, only how a worker ended") {
    std::signal(SIGCHLD, SIG_IGN);
    Script(kDone).store().tag("a", Reference::parse("b"));
    const Seen seen = failure<WorkerFailed>([] { Script("echo bye >&2; exit 3").store().list(); });
    std::signal(SIGCHLD, SIG_DFL);
    CHECK(seen.code == "worker.died");
    CHECK(seen.message.contains("ignores SIGCHLD"));
    CHECK(seen.message.ends_with("after saying 'bye'"));
}

TEST_CASE("a host that waits for every child loses no result") {
    std::atomic<bool> done = false;
    std::jthread waiter([&] {
        while (!done) {
            if (::waitpid(-1, nullptr, 0) < 0) std::this_thread::yield();
        }
    });
    const Script script(kDone);
    for (int i = 0; i < 20; ++i) script.store().tag("a", Reference::parse("b"));
    CHECK(failure<WorkerFailed>([] { Script("exit 3").store().list(); }).code == "worker.died");
    done = true;
}

TEST_CASE("a call leaves no child and no descriptor behind") {
    const auto descriptors = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    const Script script(kDone);
    const auto before = descriptors();
    script.store().tag("a", Reference::parse("b"));
    CHECK(failure<WorkerFailed>([] { Script("exit 3").store().list(); }).code == "worker.died");
    CHECK(descriptors() == before);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
    CHECK(errno == ECHILD);
}

TEST_CASE("a stop token asks the worker to stop") {
    const Script script(
        "read -r cancel <&3; echo \"$cancel\" > \"$0.out\"\n"
        "echo '{\"error\":{\"kind\":\"cancelled\",\"code\":\"cancelled.interrupted\"}}' >&3\n");
    std::stop_source stop;
    const std::jthread later([&] { stop.request_stop(); });
    CHECK(failure<Cancelled>([&] {
              build(request_of("FROM scratch"), script.options(), nullptr, stop.get_token());
          }).code == "cancelled.interrupted");
}

TEST_CASE("a stop token that has fired starts nothing") {
    std::stop_source stop;
    stop.request_stop();
    WorkerOptions options;
    options.program = "/nowhere/imgbuild";
    CHECK(failure<Cancelled>([&] { build(request_of("FROM scratch"), options, nullptr, stop.get_token()); }).code ==
          "cancelled.interrupted");
}

TEST_CASE("a worker that does not stop is killed when its grace is over") {
    const Script script("echo '{\"event\":{\"planned\":{\"total\":1}}}' >&3\nexec sleep 1000");
    WorkerOptions options = script.options();
    options.grace = std::chrono::milliseconds(200);
    std::stop_source stop;
    struct Stopper final : ProgressSink {
        explicit Stopper(std::stop_source& source) : stop(source) {}
        void report(const Event&) noexcept override { stop.request_stop(); }
        std::stop_source& stop;
    } stopper(stop);
    const auto begin = steady_clock::now();
    CHECK(failure<Cancelled>([&] { build(request_of("FROM scratch"), options, &stopper, stop.get_token()); }).code ==
          "cancelled.interrupted");
    CHECK(steady_clock::now() - begin < std::chrono::seconds(20));
}

TEST_CASE("a request that cannot be meant is refused before anything starts") {
    WorkerOptions options;
    options.program = "/nowhere/imgbuild";
    const auto code_of = [&](auto&& change) {
        BuildRequest request = request_of("FROM scratch");
        change(request);
        return failure<Error>([&] { build(request, options); }).code;
    };
    CHECK(code_of([](BuildRequest& r) { r.outputs = {Output::push()}; }) == "usage.no-name");
    CHECK(code_of([](BuildRequest& r) { r.outputs = {Output::archive("")}; }) == "usage.bad-output");
    CHECK(code_of([](BuildRequest& r) {
              r.outputs = {Output::archive_to(1), Output::archive_to(2)};
          }) == "usage.bad-output");
    CHECK(code_of([](BuildRequest& r) { r.jobs = 0; }) == "usage.bad-request");
    CHECK(code_of([](BuildRequest& r) {
              r.text.reset();
              r.file = "/nowhere/Buildfile";
          }) == "source.no-build-file");
    CHECK(code_of([](BuildRequest& r) { r.names = {Reference::parse("a@sha256:" + std::string(64, '0'))}; }) ==
          "usage.bad-reference");
}

TEST_CASE("a request says everything that was asked for") {
    const Script script(
        "printf '%s\\n' \"$request\" > \"$0.out\"\n"
        "echo '{\"error\":{\"code\":\"build.x\"}}' >&3\n");
    BuildRequest request = request_of("FROM base");
    request.target = "final";
    request.build_args = {{"A", "1"}};
    request.labels = {{"label", "l"}};
    request.contexts = {{"base", "docker-image://busybox"}, {"other", "/other"}};
    request.platform = Platform::parse("linux/arm/v7");
    request.names = {Reference::parse("app:1")};
    request.outputs = {Output::push(), Output::layout("/layout")};
    request.compression = {.kind = Compression::Kind::zstd, .level = 7};
    request.no_cache = true;
    request.pull = Pull::always;
    request.tag_ttl = std::chrono::seconds(2);
    request.source_date_epoch = 12345;
    request.jobs = 3;
    WorkerOptions options = script.options();
    options.store = "/store";
    options.insecure_registries = {"registry.local"};
    CHECK(failure<Error>([&] { build(request, options); }).code == "build.x");
    const std::string got = script.notes();
    for (const char* part :
         {R"("store":"/store")", R"("plain_http":["registry.local"])", R"("text":"FROM base")", R"("context":"/tmp")",
          R"(["other","/other"])", R"("target":"final")", R"([["A","1"]])", R"([["label","l"]])",
          R"("locator":"docker-image://busybox")", R"("architecture":"arm","variant":"v7")",
          R"("docker.io/library/app:1")", R"("kind":"oci-layout","destination":"/layout")",
          R"("codec":{"kind":"zstd","level":7})", R"("cache":"write")", R"("pull":"always")", R"("tag_ttl":2000)",
          R"("source_date_epoch":12345)", R"("jobs":3)"}) {
        CAPTURE(part);
        CHECK(got.contains(part));
    }
}

TEST_CASE("a worker's questions are answered by the caller's functions") {
    const Script script(R"sh(
echo "$request" | grep -o '"answers":[^]]*]' > "$0.out"
echo '{"ask":{"number":5,"question":{"secret":{"id":"npm"}}}}' >&3; read -r answer <&3; echo "$answer" >> "$0.out"
echo '{"ask":{"number":6,"question":{"secret":{"id":"none"}}}}' >&3; read -r answer <&3; echo "$answer" >> "$0.out"
echo '{"ask":{"number":7,"question":{"agent":{"id":"default"}}}}' >&3; read -r answer <&3; echo "$answer" >> "$0.out"
echo '{"ask":{"number":8,"question":{"secret":{"id":"bad"}}}}' >&3; read -r answer <&3; echo "$answer" >> "$0.out"
)sh" + kDone);
    BuildRequest request = request_of("FROM scratch");
    request.secret = [](const std::string& id) -> std::optional<std::string> {
        if (id == "bad") throw UsageError({.code = "usage.mine", .message = "no", .hint = {}, .where = {}});
        return id == "npm" ? std::optional<std::string>("canary") : std::nullopt;
    };
    request.ssh_agents = {{"default", "/run/agent"}};
    CHECK(failure<WorkerFailed>([&] { build(request, script.options()); }).code == "worker.bad-message");
    const std::string notes = script.notes();
    CHECK(notes.starts_with("\"answers\":[\"secret\",\"agent\"]\n"));
    CHECK(notes.contains(R"("number":5,"found":true,"text":"","failure":null,"has_descriptor":true)"));
    CHECK(notes.contains(R"("number":6,"found":false,"text":"","failure":null,"has_descriptor":false)"));
    CHECK(notes.contains(R"("number":7,"found":true,"text":"/run/agent")"));
    CHECK(notes.contains("usage.mine"));
    CHECK_FALSE(notes.contains("canary"));
}

TEST_CASE("events come on the calling thread, and warnings are in the result as well") {
    const Script script(R"(
echo '{"event":{"output":{"number":1,"text":{"bytes":"caf\u00e9"}}}}' >&3
echo '{"event":{"warning":{"diagnostic":{"severity":"warning","code":"c","message":"m"},"file":{"name":"B"}}}}' >&3
echo '{"result":{"build":{"image_id":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}}}' >&3
)");
    struct Recorder final : ProgressSink {
        void report(const Event& event) noexcept override {
            on_thread = on_thread && std::this_thread::get_id() == thread;
            if (const auto* output = std::get_if<event::StepOutput>(&event)) text += output->text;
        }
        std::thread::id thread = std::this_thread::get_id();
        bool on_thread = true;
        std::string text;
    } recorder;
    const BuildResult result = build(request_of("FROM scratch"), script.options(), &recorder);
    CHECK(recorder.on_thread);
    CHECK(recorder.text == "caf\xe9");
    REQUIRE(result.warnings.size() == 1);
    CHECK(result.warnings[0].diagnostic.code == "c");
    CHECK(result.warnings[0].file->text == "FROM scratch");
    CHECK(result.image_id.brief() == "111111111111");
    CHECK_FALSE(result.manifest);
}

}  // namespace imgbuild
