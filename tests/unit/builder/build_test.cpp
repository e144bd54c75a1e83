// Whole builds over a real store, with commands that are C++ functions and a registry in memory.

#include "builder/build.hpp"

#include "builder/layer_forms.hpp"
#include "builder/step_costs.hpp"
#include "layers/name_index.hpp"
#include "registry/memory_registry.hpp"
#include "registry/repository.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"
#include "tests/unit/registry/sample_image.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <algorithm>
#include <atomic>

using namespace imgbuild;
using namespace imgbuild::builder;
using Catch::Matchers::Contains;

namespace {

using Strings = std::vector<std::string>;

std::string variable(const std::vector<std::string>& env, const std::string& name) {
    for (const std::string& pair : env) {
        if (pair.starts_with(name + "=")) return pair.substr(name.size() + 1);
    }
    return "";
}

void write_file(const std::string& path, const std::string& text) {
    const util::Fd fd = util::open_path(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    util::write_all(fd.get(), text, path);
}

/// "touch NAME" writes a file with its own name, "epoch NAME" one with $SOURCE_DATE_EPOCH, "hog" takes memory, "fail"
/// talks and fails.
sandbox::StepResult run_command(const sandbox::ScriptedStep& step) {
    const Strings& args = step.spec.args;
    if (args.at(0) == "touch") write_file(step.spec.upper + "/" + args.at(1), args.at(1));
    if (args.at(0) == "epoch") {
        write_file(step.spec.upper + "/" + args.at(1), variable(step.spec.env, "SOURCE_DATE_EPOCH"));
    }
    if (args.at(0) == "hog") return {.peak_rss = std::uint64_t{3} << 30};
    if (args.at(0) != "fail") return {};
    step.output.output(sandbox::Stream::out, "working\n");
    step.output.output(sandbox::Stream::err, "oh no\n");
    return {.exit_code = 3};
}

/// One machine: a store, a context, and what was built with them.
struct Machine {
    test::Directory context;
    test::Directory place;
    std::shared_ptr<layers::Store> store = layers::Store::open(place.at("store"));
    registry::MemoryRegistry memory{"http://127.0.0.1:5000"};
    registry::RegistryClient client{memory, {}};
    std::atomic<int> runs{0};
    /// Of the latest build.
    std::unique_ptr<test::Recorder> recorder;

    static BuildRequest request(const std::string& text) {
        BuildRequest out;
        out.file = test::source_file(text);
        out.lower = test::plain_options();
        return out;
    }

    Digest build(BuildRequest request) {
        request.context = context.path();
        recorder = std::make_unique<test::Recorder>();
        const Services services{
            .store = *store,
            .registry = client,
            .make_sandbox =
                [this](const std::string&) {
                    return std::make_unique<sandbox::ScriptedSandbox>([this](const sandbox::ScriptedStep& step) {
                        ++runs;
                        return run_command(step);
                    });
                },
            .progress = *recorder};
        return imgbuild::builder::build(request, services, {}).image_id;
    }
    Digest build(const std::string& text) { return build(request(text)); }

    layers::ImageRecord image(const Digest& id) const { return store->find_image(id.text()).value(); }

    layers::NameIndex names(const Digest& id, std::size_t layer) const {
        layers::Lease lease = store->begin_lease();
        const auto found = lease.find_layer(image(id).diff_ids.at(layer));
        return layers::NameIndex::parse(lease.read_names(found.value()));
    }
    std::string read(const Digest& id, std::size_t layer, const std::string& path) const {
        layers::Lease lease = store->begin_lease();
        LayerForms forms(lease, 1);
        Layer wanted(Digest{});
        wanted.diff_id = image(id).diff_ids.at(layer);
        test::Recorder unheard;
        const auto tree = forms.ensure_tree(wanted, {.stop = {}, .progress = unheard});
        return util::read_file(lease.tree_path(tree) + "/" + path, 1U << 20);
    }
    std::int64_t time_of(const Digest& id, std::size_t layer, const std::string& path) const {
        return names(id, layer).find(path)->mtime;
    }
};

const std::string kTwoSteps = "FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY a /\n";

}  // namespace

TEST_CASE_METHOD(Machine, "an image has the files of its steps, one layer each") {
    context.write("a", "text");
    const Digest id = build(kTwoSteps);
    CHECK(image(id).diff_ids.size() == 2);
    CHECK(read(id, 0, "x") == "x");
    CHECK(read(id, 1, "a") == "text");
}

TEST_CASE_METHOD(Machine, "a second build does nothing and makes the same image") {
    context.write("a", "text");
    const Digest first = build(kTwoSteps);
    CHECK(build(kTwoSteps) == first);
    CHECK(runs == 1);
    CHECK(recorder->endings() == Strings{"cached RUN [\"touch\", \"x\"]", "cached COPY a /"});
}

TEST_CASE_METHOD(Machine, "without the cache everything is done again and the image is the same") {
    context.write("a", "text");
    const Digest first = build(kTwoSteps);
    BuildRequest again = request(kTwoSteps);
    again.cache = CacheUse::write;
    CHECK(build(again) == first);
    CHECK(runs == 2);
    CHECK(recorder->count(StepOutcome::cached) == 0);
}

TEST_CASE("two machines make the same image") {
    Machine one;
    Machine other;
    for (const Machine* machine : {&one, &other}) machine->context.write("a", "text");
    other.context.set_time("a", 7);
    CHECK(one.build(kTwoSteps) == other.build(kTwoSteps));
}

TEST_CASE_METHOD(Machine, "a failing step says its exit code, place, last output and where the whole log is") {
    try {
        build("FROM scratch\nRUN [\"fail\"]\n");
        FAIL("the step should have failed");
    } catch (const StepFailed& error) {
        CHECK(error.exit_code() == 3);
        CHECK(error.where().value().span.line == 2);
        CHECK(error.log_tail() == "working\noh no");
        CHECK(util::read_file(error.log_path(), 1000) == "working\noh no\n");
    }
}

TEST_CASE_METHOD(Machine, "a failure leaves finished steps in the cache and no image") {
    BuildRequest failing = request("FROM scratch\nRUN [\"touch\", \"x\"]\nRUN [\"fail\"]\n");
    failing.names = {Reference::parse("app:1")};
    CHECK_THROWS_AS(build(failing), StepFailed);
    CHECK(store->list_images().empty());
    build("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    CHECK(recorder->count(StepOutcome::cached) == 1);
}

TEST_CASE_METHOD(Machine, "a failed step is tried again by the next build") {
    CHECK_THROWS_AS(build("FROM scratch\nRUN [\"fail\"]\n"), StepFailed);
    CHECK_THROWS_AS(build("FROM scratch\nRUN [\"fail\"]\n"), StepFailed);
    CHECK(runs == 2);
}

TEST_CASE_METHOD(Machine, "a changed file misses, and what stands on it") {
    context.write("a", "text");
    const std::string text = "FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY a /\nRUN [\"touch\", \"y\"]\n";
    const Digest first = build(text);
    context.write("a", "news");
    CHECK(build(text) != first);
    CHECK(recorder->endings() ==
          Strings{"cached RUN [\"touch\", \"x\"]", "done COPY a /", "done RUN [\"touch\", \"y\"]"});
}

TEST_CASE_METHOD(Machine, "a file that was only touched hits") {
    context.write("a", "text");
    build(kTwoSteps);
    context.set_time("a", 7);
    build(kTwoSteps);
    CHECK(recorder->count(StepOutcome::cached) == 2);
}

TEST_CASE_METHOD(Machine, "a COPY is found again on another base where its files go to the same places") {
    context.write("a", "text");
    build("FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY a /b/\n");
    build("FROM scratch\nRUN [\"touch\", \"y\"]\nCOPY a /b/\n");
    CHECK(recorder->endings() == Strings{"done RUN [\"touch\", \"y\"]", "cached COPY a /b/"});
}

TEST_CASE_METHOD(Machine, "a COPY is made anew on a base where its files go to other places") {
    context.write("a", "text");
    build("FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY a /b/\n");
    build("FROM scratch\nWORKDIR /b\nCOPY a /b/\n");
    CHECK(recorder->endings() == Strings{"done WORKDIR /b", "done COPY a /b/"});
}

TEST_CASE_METHOD(Machine, "a COPY --link is found again on any base, with one time on all of them") {
    context.write("a", "text");
    const Digest first = build("FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY --link a /b/\n");
    const Digest other = build("FROM scratch\nWORKDIR /b\nRUN [\"touch\", \"y\"]\nCOPY --link a /b/\n");
    // They run side by side.
    Strings endings = recorder->endings();
    std::sort(endings.begin(), endings.end());
    CHECK(endings == Strings{"cached COPY --link a /b/", "done RUN [\"touch\", \"y\"]", "done WORKDIR /b"});
    CHECK(image(first).diff_ids.at(1) == image(other).diff_ids.at(2));
    CHECK((time_of(first, 1, "b/a") - kEarliestLayerTime) / kLayerTimeStep == 1);
}

TEST_CASE_METHOD(Machine, "a COPY --link does not follow links of the base") {
    context.make_directory("usr/lib64");
    context.link("usr/lib", "lib64");
    context.write("a", "text");
    const Digest id = build("FROM scratch\nCOPY usr /usr\nCOPY --link a /usr/lib/\n");
    CHECK(names(id, 1).find("usr/lib")->type == layers::EntryType::directory);
    CHECK(names(id, 1).find("usr/lib/a") != nullptr);
}

TEST_CASE_METHOD(Machine, "a COPY --link on a stage of one's own looks owners up in it") {
    context.write("etc/passwd", "dev:x:1000:100::/:/bin/sh\n");
    context.write("etc/group", "users:x:100:\n");
    const std::string text = "FROM scratch\nCOPY etc /etc\nCOPY --link --chown=dev:users etc/group /x\n";
    const Digest first = build(text);
    CHECK(names(first, 1).find("x")->uid == 1000);
    context.write("etc/passwd", "dev:x:1001:100::/:/bin/sh\n");
    CHECK(names(build(text), 1).find("x")->uid == 1001);
}

TEST_CASE_METHOD(Machine, "what follows a COPY is found again if the COPY was only written in another way") {
    context.write("a", "text");
    build("FROM scratch\nCOPY a /d/\nRUN [\"touch\", \"x\"]\n");
    build("FROM scratch\nCOPY ./a /d/a\nRUN [\"touch\", \"x\"]\n");
    CHECK(recorder->endings() == Strings{"cached COPY ./a /d/a", "cached RUN [\"touch\", \"x\"]"});
}

TEST_CASE_METHOD(Machine, "a RUN is found again if the files that it mounts are as they were in a stage that changed") {
    const std::string mounts = "RUN --mount=type=bind,from=a,source=x,target=/x [\"touch\", \"z\"]";
    build("FROM scratch AS a\nRUN [\"touch\", \"x\"]\nRUN [\"touch\", \"y\"]\nFROM scratch\n" + mounts + "\n");
    build("FROM scratch AS a\nRUN [\"touch\", \"x\"]\nRUN [\"touch\", \"w\"]\nFROM scratch\n" + mounts + "\n");
    CHECK(recorder->endings() ==
          Strings{"cached RUN [\"touch\", \"x\"]", "done RUN [\"touch\", \"w\"]", "cached " + mounts});
    CHECK(runs == 4);
}

TEST_CASE_METHOD(Machine, "stages that are left out of the cache run again, and what stands on them does not") {
    BuildRequest two = request(
        "FROM scratch AS one\nRUN [\"touch\", \"x\"]\nFROM scratch AS two\nRUN [\"touch\", \"y\"]\n"
        "FROM scratch\nCOPY --from=one x /\nCOPY --from=two y /\n");
    const Digest first = build(two);
    two.uncached_stages = {"TWO"};
    CHECK(build(two) == first);
    CHECK(runs == 3);
    two.uncached_stages = {"three"};
    CHECK(test::error_code([&] { build(two); }) == "usage.unknown-target");
}

TEST_CASE_METHOD(Machine, "what a command took is remembered for the next build") {
    const std::string text = "FROM scratch AS big\nRUN [\"hog\"]\n";
    build(text);
    const Lowered lowered = test::lower_text(text);
    const StepNames names = name_steps(lowered.graph, test::plain_options().target_platform);
    CHECK(find_costs(lowered.graph, names, *store).at(*lowered.result).memory == std::uint64_t{3} << 30);
}

TEST_CASE_METHOD(Machine, "a build with no step at once is refused") {
    BuildRequest none = request(kTwoSteps);
    none.jobs = 0;
    CHECK(test::error_code([&] { build(none); }) == "usage.bad-request");
}

TEST_CASE_METHOD(Machine, "an image that may not be pulled is an error with its line") {
    BuildRequest offline = request("FROM scratch\nCOPY --from=127.0.0.1:5000/missing a /\n");
    offline.pull = Pull::never;
    const test::Told told = test::error_of([&] { build(offline); });
    CHECK(told == test::Told{.code = "source.not-pulled", .line = 2});
    CHECK(memory.log().empty());
}

TEST_CASE_METHOD(Machine, "two identical stages run once") {
    build(
        "FROM scratch AS one\nRUN [\"touch\", \"x\"]\n"
        "FROM scratch AS two\nRUN [\"touch\", \"x\"]\n"
        "FROM scratch\nCOPY --from=one x /1\nCOPY --from=two x /2\n");
    CHECK(runs == 1);
}

TEST_CASE_METHOD(Machine, "a stage that the target does not need is not built") {
    build("FROM scratch AS unneeded\nRUN [\"fail\"]\nFROM scratch\nRUN [\"touch\", \"x\"]\n");
    CHECK(runs == 1);
}

TEST_CASE_METHOD(Machine, "files that a step writes have the time that it finds as its epoch") {
    const Digest id = build("FROM scratch\nRUN [\"epoch\", \"x\"]\n");
    CHECK(read(id, 0, "x") == std::to_string(time_of(id, 0, "x")));
}

TEST_CASE_METHOD(Machine, "the time of a layer grows with its position, from 1980 for scratch") {
    context.write("a", "text");
    const Digest id = build("FROM scratch\nRUN [\"touch\", \"x\"]\nCOPY a /\nRUN [\"touch\", \"y\"]\n");
    const Strings files = {"x", "a", "y"};
    for (std::size_t layer = 0; layer < files.size(); ++layer) {
        const std::int64_t position = time_of(id, layer, files[layer]) - kEarliestLayerTime;
        CHECK(position / kLayerTimeStep == static_cast<std::int64_t>(layer) + 1);
    }
}

TEST_CASE_METHOD(Machine, "layers on an image are newer than the image") {
    BuildRequest base = request("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    base.names = {Reference::parse("base:1")};
    const Digest base_id = build(base);
    const Digest id = build("FROM base:1\nRUN [\"touch\", \"y\"]\n");
    REQUIRE(image(id).diff_ids.size() == 2);
    CHECK(image(id).diff_ids.front() == image(base_id).diff_ids.front());
    CHECK(time_of(id, 1, "y") > image(base_id).created);
}

TEST_CASE_METHOD(Machine, "without other word the image's time is that of its newest layer") {
    const Digest id = build("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    CHECK(image(id).created == time_of(id, 0, "x"));
}

TEST_CASE_METHOD(Machine, "an explicit time is the image's, and bounds the layers'") {
    BuildRequest explicit_time = request("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    explicit_time.source_date_epoch = 1000;
    const Digest id = build(explicit_time);
    CHECK(image(id).created == 1000);
    CHECK(time_of(id, 0, "x") == 1000);
}

TEST_CASE_METHOD(Machine, "an explicit time as a build argument must be a number") {
    BuildRequest bad = request("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    bad.lower.build_args = {{"SOURCE_DATE_EPOCH", "yesterday"}};
    CHECK(test::error_code([&] { build(bad); }) == "usage.bad-epoch");
    CHECK(runs == 0);
}

TEST_CASE_METHOD(Machine, "files keep their contents, modes and links from stage to stage") {
    context.write("dir/run", "#!", 0755);
    context.link("dir/link", "run");
    context.hard_link("dir/twin", "dir/run");
    const Digest id = build("FROM scratch AS a\nCOPY dir /dir\nFROM scratch\nCOPY --from=a /dir /out\n");
    const layers::NameIndex index = names(id, 0);
    CHECK(index.find("out/run")->mode == 0755);
    CHECK(index.find("out/link")->link_target == "run");
    CHECK(index.find("out/twin")->type == layers::EntryType::hardlink);
    CHECK(read(id, 0, "out/twin") == "#!");
}

TEST_CASE_METHOD(Machine, "an image is known by its names") {
    BuildRequest named = request("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    named.names = {Reference::parse("app:1"), Reference::parse("app:2")};
    const Digest id = build(named);
    CHECK(store->find_image("docker.io/library/app:1").value().id == id);
    CHECK(image(id).names.size() == 2);
}

TEST_CASE_METHOD(Machine, "an image that no registry has is an error with its line") {
    CHECK(test::error_of([&] { build("FROM 127.0.0.1:5000/missing\n"); }).line == 1);
}

TEST_CASE_METHOD(Machine, "a build that is stopped ends as cancelled and names no image") {
    std::stop_source stop;
    stop.request_stop();
    test::Recorder events;
    const Services services{.store = *store, .registry = client, .make_sandbox = {}, .progress = events};
    const BuildRequest stopped = request("FROM scratch\nRUN [\"touch\", \"x\"]\n");
    CHECK_THROWS_AS(imgbuild::builder::build(stopped, services, stop.get_token()), Cancelled);
    CHECK(store->list_images().empty());
}

TEST_CASE_METHOD(Machine, "labels are in the config sorted by name, wherever they came from") {
    BuildRequest labelled = request("FROM scratch\nLABEL z=1 b=2\n");
    labelled.lower.labels = {{"a", "1"}};
    CHECK_THAT(image(build(labelled)).config, Contains("\"a\":\"1\",\"b\":\"2\",\"z\":\"1\""));
}

namespace {

bool has_tree(const Machine& machine, const Digest& id, std::size_t layer) {
    layers::Lease lease = machine.store->begin_lease();
    return lease.has_tree(lease.find_layer(machine.image(id).diff_ids.at(layer)).value());
}

}  // namespace

TEST_CASE_METHOD(Machine, "a copy that nothing runs on has no tree, and gets one when something does") {
    context.write("a", "text");
    const Digest id = build("FROM scratch\nCOPY a /\n");
    CHECK_FALSE(has_tree(*this, id, 0));
    CHECK(build("FROM scratch\nCOPY a /\n") == id);
    CHECK(recorder->endings() == Strings{"cached COPY a /"});
    const Digest longer = build("FROM scratch\nCOPY a /\nRUN [\"touch\", \"x\"]\n");
    CHECK(recorder->endings().front() == "cached COPY a /");
    CHECK(has_tree(*this, longer, 0));
    CHECK(read(longer, 0, "a") == "text");
}

TEST_CASE_METHOD(Machine, "a copy that files are copied out of is no tree, and gets one when something runs on it") {
    context.write("a", "text");
    const Digest first = build("FROM scratch\nCOPY a /\n");
    const Digest id = build("FROM scratch AS one\nCOPY a /x\nFROM scratch\nCOPY --from=one x /b\n");
    CHECK_FALSE(has_tree(*this, id, 0));
    CHECK(read(id, 0, "b") == "text");
    const Digest longer = build("FROM scratch AS one\nCOPY a /x\nFROM one\nRUN [\"touch\", \"y\"]\n");
    CHECK(recorder->endings().front() == "cached COPY a /x");
    CHECK(has_tree(*this, longer, 0));
    CHECK(build("FROM scratch\nCOPY a /\n") == first);
}

TEST_CASE_METHOD(Machine,
                 "a copy of few large files that others copy out of is a tree, as sharing them costs nothing") {
    context.write("a", std::string(100'000, 'x'));
    const Digest id = build("FROM scratch AS one\nCOPY a /\nFROM one\nCOPY --from=one a /b\n");
    CHECK(has_tree(*this, id, 0));
    CHECK_FALSE(has_tree(*this, id, 1));
}

TEST_CASE_METHOD(Machine, "what is copied from stage to stage is the same out of a tree, a tar, and several of both") {
    context.write("d/a", "text");
    context.write("d/sub/empty", "");
    context.write("d/sub/b", std::string(70'000, 'x'), 0755);
    context.link("d/link", "sub/b");
    context.hard_link("d/twin", "d/sub/b");
    for (int i = 0; i < 20; ++i)
        context.write(fmt::format("d/small{}", i), std::string(static_cast<std::size_t>(i), 'y'));
    context.write("e/a", "another");
    const auto stages = [](const std::string& run) {
        return "FROM scratch AS one\nCOPY d /d\nCOPY e /d\nFROM one AS run\n" + run +
               "FROM scratch\nCOPY --from=one /d /out\nCOPY --from=run /d /again\n";
    };
    const Digest out_of_tars = build(stages(""));
    CHECK(read(out_of_tars, 0, "out/a") == "another");
    CHECK(read(out_of_tars, 0, "out/small7") == "yyyyyyy");
    BuildRequest anew = request(stages("RUN [\"touch\", \"x\"]\nCOPY e /d/sub\n"));
    anew.cache = CacheUse::write;
    const Digest out_of_trees = build(anew);
    CHECK(image(out_of_trees).diff_ids.at(0) == image(out_of_tars).diff_ids.at(0));
    // Two trees and a tar.
    CHECK(read(out_of_trees, 1, "again/sub/a") == "another");
    CHECK(read(out_of_trees, 1, "again/twin") == std::string(70'000, 'x'));
}

TEST_CASE_METHOD(Machine, "outputs of files have the same ones, whatever the layers are kept as") {
    context.write("d/a", "text", 0755);
    context.write("d/b", std::string(70'000, 'x'));
    BuildRequest wanted = request("FROM scratch\nCOPY d /d\nCOPY d/a /c\n");
    wanted.outputs = {Output{.kind = Output::Kind::local, .destination = place.at("files")},
                      Output{.kind = Output::Kind::tar, .destination = place.at("files.tar")}};
    build(wanted);
    CHECK(util::read_file(place.at("files/d/a"), 100) == "text");
    CHECK(util::read_file(place.at("files/c"), 100) == "text");
    CHECK(util::read_file(place.at("files/d/b"), 1U << 20) == std::string(70'000, 'x'));
    const std::string tar = util::read_file(place.at("files.tar"), 1U << 20);
    CHECK(has_tree(*this, build("FROM scratch\nCOPY d /d\nCOPY d/a /c\nRUN [\"touch\", \"x\"]\n"), 1));
    build(wanted);
    CHECK(util::read_file(place.at("files.tar"), 1U << 20) == tar);
}

TEST_CASE_METHOD(Machine, "an image has the same layers whether its copies were packed or written as trees") {
    context.write("d/a", "text");
    context.write("d/b", std::string(100'000, 'x'), 0755);
    const std::string text = "FROM scratch\nCOPY d /d\nWORKDIR /w\n";
    const Digest packed = build(text);
    BuildRequest joined = request(text);
    joined.cache = CacheUse::write;
    joined.outputs = {Output{.kind = Output::Kind::tar, .destination = place.at("files.tar")}};
    CHECK(build(joined) == packed);
}

namespace {

std::size_t count_of(const Strings& log, const std::string& line) {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), line));
}

}  // namespace

TEST_CASE_METHOD(Machine, "a base's layer that the registry has is fetched only when somebody needs it") {
    const registry::SampleImage base(std::string(1024, '\0'));  // the end mark of a tar, and nothing else
    registry::Repository repository(client, Reference::parse("127.0.0.1:5000/base"));
    base.push_to(repository, Strings{"1"});
    const Digest layer = base.layer_descriptor().digest;
    const std::string fetching = "GET /v2/base/blobs/" + layer.text();

    BuildRequest pushed = request("FROM 127.0.0.1:5000/base:1\nLABEL a=b\n");
    pushed.names = {Reference::parse("127.0.0.1:5000/app:1")};
    pushed.outputs = {Output{.kind = Output::Kind::registry}};
    build(pushed);
    CHECK(memory.blob("app", layer) == base.layer);
    CHECK(count_of(memory.log(), fetching) == 0);

    // The store knows the image and where its layer is.
    build("FROM 127.0.0.1:5000/app:1\nRUN [\"touch\", \"x\"]\n");
    CHECK(count_of(memory.log(), fetching) == 1);
    build("FROM 127.0.0.1:5000/app:1\nRUN [\"touch\", \"y\"]\n");
    CHECK(count_of(memory.log(), fetching) == 1);
}

TEST_CASE_METHOD(Machine, "a base's layer that another registry does not have is fetched and sent") {
    const registry::SampleImage base(std::string(1024, '\0'));
    registry::Repository repository(client, Reference::parse("127.0.0.1:5000/base"));
    base.push_to(repository, Strings{"1"});
    BuildRequest packed = request("FROM 127.0.0.1:5000/base:1\nLABEL a=b\n");
    packed.outputs = {Output{.kind = Output::Kind::oci_layout, .destination = place.at("layout")}};
    build(packed);
    CHECK(util::read_file(place.at("layout") + "/blobs/sha256/" + base.layer_descriptor().digest.hex(), 4096) ==
          base.layer);
}
