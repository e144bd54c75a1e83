#include "builder/frontend/lower.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <algorithm>
#include <random>

using namespace imgbuild;
using namespace imgbuild::builder;
using test::Catalogue;
using test::image_config;
using test::lower_text;
using test::plain_options;
using test::Told;

namespace {

using Strings = std::vector<std::string>;

LowerOptions with_args(std::vector<std::pair<std::string, std::string>> args) {
    LowerOptions out = plain_options();
    out.build_args = std::move(args);
    return out;
}

LowerOptions with_target(std::string target) {
    LowerOptions out = plain_options();
    out.target = std::move(target);
    return out;
}

LowerOptions with_context(const std::string& name, NamedContext context) {
    LowerOptions out = plain_options();
    out.contexts[name] = std::move(context);
    return out;
}

Exec exec_of(const std::string& text, const LowerOptions& options = plain_options(), Catalogue images = {}) {
    return test::result_op<Exec>(lower_text(text, options, std::move(images)));
}

std::string path_variable() {
    return "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/// The environment of the last command, less the PATH that is always there.
Strings env_of(const std::string& text, const LowerOptions& options = plain_options(), Catalogue images = {}) {
    Strings out = exec_of(text, options, std::move(images)).env;
    out.erase(std::remove(out.begin(), out.end(), path_variable()), out.end());
    return out;
}

Strings history_of(const Lowered& lowered) {
    Strings out;
    for (const oci::HistoryEntry& entry : lowered.config.history) {
        out.push_back((entry.empty_layer ? "- " : "+ ") + entry.created_by);
    }
    return out;
}

Strings warnings_of(const Lowered& lowered) {
    Strings out;
    for (const Diagnostic& warning : lowered.warnings) out.push_back(warning.code);
    return out;
}

Told told(const std::string& text, const LowerOptions& options = plain_options(), const Catalogue& images = {}) {
    return test::error_of([&] { lower_text(text, options, images); });
}

std::size_t count_local_sources(const Graph& graph) {
    std::size_t out = 0;
    for (NodeId id = 0; id < graph.size(); ++id) out += std::holds_alternative<LocalSource>(graph[id].op) ? 1 : 0;
    return out;
}

}  // namespace

TEST_CASE("FROM scratch alone is an image without layers") {
    const Lowered lowered = lower_text("FROM scratch\n");
    CHECK_FALSE(lowered.result);
    CHECK(lowered.config.config.env == Strings{path_variable()});
}

TEST_CASE("an image's own PATH is kept") {
    const Catalogue images = {{"base", image_config({.env = {"PATH=/mine"}})}};
    CHECK(lower_text("FROM base\n", plain_options(), images).config.config.env == Strings{"PATH=/mine"});
}

TEST_CASE("a base image without layers is an empty file system with a config") {
    oci::ImageConfig config = image_config({.user = "dev"});
    config.diff_ids.clear();
    const Lowered lowered = lower_text("FROM base\n", plain_options(), {{"base", config}});
    CHECK_FALSE(lowered.result);
    CHECK(lowered.config.config.user == "dev");
}

TEST_CASE("of ENV and ARG with one name the later counts") {
    const auto [text, env] = GENERATE(table<std::string, Strings>({
        {"ARG v=arg\nENV v=env\n", {"v=env"}},
        {"ENV v=env\nARG v=arg\n", {"v=arg"}},
        {"ENV v=env\nARG v\n", {"v=env"}},
        {"ARG v=arg\nENV v=${v}-env\n", {"v=arg-env"}},
        {"ARG v=1\nARG v=2\n", {"v=2"}},
        {"ARG v=1\nARG v\n", {"v=1"}},
    }));
    CHECK(env_of("FROM scratch\n" + text + "RUN [\"x\"]\n") == env);
}

TEST_CASE("the pairs of one ENV do not see each other") {
    CHECK(env_of("FROM scratch\nENV a=1\nENV a=2 b=$a\nRUN [\"x\"]\n") == Strings{"a=2", "b=1"});
}

TEST_CASE("an ARG is in no image config") {
    CHECK(lower_text("FROM scratch\nARG v=1\n").config.config.env == Strings{path_variable()});
}

TEST_CASE("a stage sees a global ARG only where it asks for it") {
    CHECK(env_of("ARG v=1\nFROM scratch\nRUN [\"x\"]\n").empty());
    CHECK(env_of("ARG v=1\nFROM scratch\nARG v\nRUN [\"x\"]\n") == Strings{"v=1"});
    CHECK(env_of("ARG v=1\nFROM scratch\nARG v=2\nRUN [\"x\"]\n") == Strings{"v=2"});
}

TEST_CASE("a stage inherits the ARGs of the stage that it is FROM, and of no other") {
    const std::string stages = "FROM scratch AS a\nARG v=1\nFROM scratch AS b\n";
    CHECK(env_of(stages + "FROM a\nRUN [\"x\"]\n") == Strings{"v=1"});
    CHECK(env_of(stages + "FROM b\nRUN [\"x\"]\n").empty());
}

TEST_CASE("--build-arg beats a default, and a later one an earlier") {
    const LowerOptions options = with_args({{"v", "2"}, {"v", "3"}});
    CHECK(env_of("FROM scratch\nARG v=1\nRUN [\"x\"]\n", options) == Strings{"v=3"});
}

TEST_CASE("platform arguments are there for a stage that declares them") {
    CHECK(env_of("FROM scratch\nARG TARGETARCH\nRUN [\"x\"]\n") == Strings{"TARGETARCH=amd64"});
    CHECK(env_of("FROM scratch\nRUN [\"x\"]\n").empty());
}

TEST_CASE("a proxy that was given reaches commands in both cases and is in no keyed part") {
    const Exec exec = exec_of("FROM scratch\nRUN [\"x\"]\n", with_args({{"HTTP_PROXY", "http://p"}}));
    CHECK(exec.unkeyed_env == Strings{"http_proxy=http://p", "HTTP_PROXY=http://p"});
    CHECK(exec.env == Strings{path_variable()});
}

TEST_CASE("a proxy that is declared is an argument like others") {
    const Exec exec = exec_of("FROM scratch\nARG http_proxy\nRUN [\"x\"]\n", with_args({{"http_proxy", "p"}}));
    CHECK(exec.unkeyed_env == Strings{"HTTP_PROXY=p"});
    CHECK(exec.env == Strings{path_variable(), "http_proxy=p"});
}

TEST_CASE("a --build-arg that nothing declares is a warning") {
    const LowerOptions options = with_args({{"ghost", "1"}, {"v", "1"}, {"NO_PROXY", "x"}, {"TARGETARCH", "arm"}});
    const Lowered lowered = lower_text("FROM scratch\nARG v\n", options);
    CHECK(warnings_of(lowered) == Strings{"build.unused-argument"});
}

TEST_CASE("SOURCE_DATE_EPOCH is taken from the arguments") {
    CHECK(lower_text("FROM scratch\n", with_args({{"SOURCE_DATE_EPOCH", "7"}})).source_date_epoch == "7");
    CHECK(lower_text("ARG SOURCE_DATE_EPOCH=8\nFROM scratch\n").source_date_epoch == "8");
    CHECK(lower_text("FROM scratch\n").source_date_epoch.empty());
}

TEST_CASE("ENTRYPOINT drops an inherited CMD but none of its own stage") {
    const Catalogue images = {{"base", image_config({.cmd = Strings{"old"}})}};
    const auto [text, cmd] = GENERATE(table<std::string, std::optional<Strings>>({
        {"FROM base\n", Strings{"old"}},
        {"FROM base\nENTRYPOINT [\"e\"]\n", std::nullopt},
        {"FROM base\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n", Strings{"c"}},
        {"FROM base\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\n", Strings{"c"}},
        {"FROM base AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]\n", std::nullopt},
    }));
    CHECK(lower_text(text, plain_options(), images).config.config.cmd == cmd);
}

TEST_CASE("shell forms are given to the stage's shell") {
    CHECK(exec_of("FROM scratch\nRUN a  b\n").args == Strings{"/bin/sh", "-c", "a  b"});
    CHECK(exec_of("FROM scratch\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN a\n").args == Strings{"/bin/bash", "-ec", "a"});
    CHECK(exec_of("FROM scratch\nRUN [\"a\", \"$b\"]\n").args == Strings{"a", "$b"});
}

TEST_CASE("the script of a RUN is its heredoc, or the text with the heredocs behind it") {
    CHECK(exec_of("FROM scratch\nRUN <<EOF\na\nb\nEOF\n").args.back() == "a\nb\n");
    CHECK(exec_of("FROM scratch\nRUN cat <<EOF\na\nEOF\n").args.back() == "cat <<EOF\na\nEOF");
}

TEST_CASE("a command has the user, directory and network of its place") {
    const Exec exec = exec_of("FROM scratch\nUSER dev:users\nWORKDIR /a\nWORKDIR b\nRUN --network=none x\n");
    CHECK(exec.user == "dev:users");
    CHECK(exec.workdir == "/a/b");
    CHECK(exec.network == Network::none);
}

TEST_CASE("triggers of a base image are carried out first, cleared, and told as what they do") {
    const Catalogue images = {{"base", image_config({.on_build = {"ENV a=1", "RUN [\"x\"]"}})}};
    const Lowered lowered = lower_text("FROM base\nENV b=$a\n", plain_options(), images);
    CHECK(lowered.config.config.on_build.empty());
    CHECK(lowered.config.config.env == Strings{path_variable(), "a=1", "b=1"});
    CHECK(history_of(lowered) == Strings{"- ENV a=1", "+ RUN x # buildkit", "- ENV b=1"});
}

TEST_CASE("ONBUILD is kept for later and is not in the history") {
    const Lowered lowered = lower_text("FROM scratch\nONBUILD RUN make\n");
    CHECK(lowered.config.config.on_build == Strings{"RUN make"});
    CHECK(lowered.config.history.empty());
    CHECK_FALSE(lowered.result);
}

TEST_CASE("a stage that is built on another one carries out its triggers") {
    const Lowered lowered = lower_text("FROM scratch AS a\nONBUILD ENV t=1\nFROM a\n");
    CHECK(lowered.config.config.env == Strings{path_variable(), "t=1"});
    CHECK(lowered.config.config.on_build.empty());
}

TEST_CASE("what is wrong in a trigger of the base is an error") {
    const Catalogue images = {{"base", image_config({.on_build = {"RUN --security=insecure x"}})}};
    CHECK(told("FROM base\n", plain_options(), images).code == "usage.not-allowed");
}

TEST_CASE("a stage that the target does not need is not lowered") {
    const std::string text =
        "FROM missing AS broken\nADD git@example.com:a.git /\n"
        "FROM scratch AS good\nRUN [\"x\"]\n"
        "FROM broken\n";
    CHECK(exec_of(text, with_target("good")).args == Strings{"x"});
    CHECK(told(text).code == "registry.not-found");
}

TEST_CASE("an image that cannot be resolved has the line of its FROM") {
    CHECK(told("FROM scratch AS a\nFROM missing\n") == Told{.code = "registry.not-found", .line = 2});
}

TEST_CASE("an image that COPY --from cannot resolve has the line of the COPY") {
    CHECK(told("FROM scratch\nCOPY --from=missing a /\n") == Told{.code = "registry.not-found", .line = 2});
}

TEST_CASE("COPY --from a later stage works") {
    const Lowered lowered =
        lower_text("FROM scratch AS a\nCOPY --from=b /x /\nFROM scratch AS b\nRUN [\"x\"]\n", with_target("a"));
    const auto& copy = std::get<CopyFiles>(test::result_op<File>(lowered).actions.at(0));
    CHECK(std::holds_alternative<Exec>(lowered.graph[copy.from].op));
}

TEST_CASE("stages that need each other are an error with a line") {
    const std::string text = "FROM scratch AS a\nCOPY --from=b /x /\nFROM a AS b\nRUN [\"x\"]\n";
    CHECK(told(text) == Told{.code = "parse.stage-circle", .line = 2});
}

TEST_CASE("COPY --from an empty stage finds nothing") {
    CHECK(told("FROM scratch AS a\nFROM scratch\nCOPY --from=a x /\n") == Told{.code = "source.not-found", .line = 3});
}

TEST_CASE("the root of an empty stage is a directory with nothing in it") {
    const Lowered lowered = lower_text("FROM scratch AS a\nFROM scratch\nCOPY --from=a / *.x /d\n");
    const File& file = test::result_op<File>(lowered);
    REQUIRE(file.actions.size() == 1);
    CHECK(std::get<MakeDirectory>(file.actions.front()).path == "/d");
}

TEST_CASE("sources that several instructions use are one node") {
    const Lowered lowered = lower_text("FROM scratch\nCOPY a /\nCOPY b /\nADD c /\n");
    CHECK(count_local_sources(lowered.graph) == 1);
}

TEST_CASE("a named context of kind image takes the place of an image and of a stage") {
    const auto [text, name] = GENERATE(table<std::string, std::string>({
        {"FROM alpine\n", "alpine"},
        {"FROM missing AS dev\nRUN nothing\nFROM dev\n", "dev"},
    }));
    const Catalogue images = {{"other", image_config({.user = "other"})}};
    const LowerOptions options = with_context(name, {.kind = NamedContext::Kind::image, .locator = "other"});
    CHECK(lower_text(text, options, images).config.config.user == "other");
}

TEST_CASE("COPY --from a named context of kind directory reads that directory") {
    const Lowered lowered = lower_text("FROM scratch\nCOPY --from=assets a /\n",
                                       with_context("assets", {.kind = NamedContext::Kind::directory, .locator = ""}));
    const auto& copy = std::get<CopyFiles>(test::result_op<File>(lowered).actions.at(0));
    CHECK(std::get<LocalSource>(lowered.graph[copy.from].op).name == "assets");
}

TEST_CASE("labels of the file are inherited, and --label wins at the end") {
    LowerOptions options = plain_options();
    options.labels = {{"b", "flag"}};
    const Catalogue images = {{"base", image_config({.labels = {{"a", "base"}, {"c", "base"}}})}};
    const Lowered lowered = lower_text("FROM base\nLABEL a=file b=file\n", options, images);
    const std::map<std::string, std::string, std::less<>> expected = {{"a", "file"}, {"b", "flag"}, {"c", "base"}};
    CHECK(lowered.config.config.labels == expected);
}

TEST_CASE("history tells each instruction and whether it made a layer") {
    const auto [instruction, history] = GENERATE(table<std::string, std::string>({
        {"RUN make  all", "+ RUN /bin/sh -c make  all # buildkit"},
        {"COPY a b /c/", "+ COPY a b /c/ # buildkit"},
        {"ADD a /c", "+ ADD a /c # buildkit"},
        {"WORKDIR /w", "+ WORKDIR /w"},
        {"WORKDIR /", "- WORKDIR /"},
        {"ENV a=1 b=2", "- ENV a=1 b=2"},
        {"ARG v=1", "- ARG v=1"},
        {"ARG v", "- ARG v"},
        {"LABEL a=b", "- LABEL a=b"},
        {"CMD [\"a\"]", "- CMD [\"a\"]"},
        {"ENTRYPOINT a", "- ENTRYPOINT [\"/bin/sh\",\"-c\",\"a\"]"},
        {"USER dev", "- USER dev"},
        {"VOLUME /v", "- VOLUME [\"/v\"]"},
        {"EXPOSE 80", "- EXPOSE map[80/tcp:{}]"},
        {"STOPSIGNAL SIGTERM", "- STOPSIGNAL SIGTERM"},
    }));
    CHECK(history_of(lower_text("FROM scratch\n" + instruction + "\n")) == Strings{history});
}

TEST_CASE("the history of a RUN counts the arguments that it sees") {
    const Lowered lowered = lower_text("FROM scratch\nARG a=1\nARG b\nARG c=3\nENV c=4\nRUN [\"x\"]\n");
    CHECK(history_of(lowered).back() == "+ RUN |1 a=1 x # buildkit");
}

TEST_CASE("the history of a base image stays in front") {
    oci::ImageConfig base = image_config();
    base.history.push_back({.created = {}, .created_by = "old", .author = {}, .comment = {}, .extra = {}});
    const Lowered lowered = lower_text("FROM base\nENV a=1\n", plain_options(), {{"base", base}});
    CHECK(history_of(lowered) == Strings{"+ old", "- ENV a=1"});
}

TEST_CASE("what is not supported is refused at its line") {
    const auto instruction = GENERATE(as<std::string>(), "RUN --device=vendor.com/class=x x",
                                      "ADD git@example.com:a.git /", "ADD https://example.com/a.git /");
    CHECK(told("FROM scratch\n\n" + instruction + "\n") == Told{.code = "usage.unsupported-instruction", .line = 3});
}

TEST_CASE("bad values are refused at their line") {
    const auto [instruction, code] = GENERATE(table<std::string, std::string>({
        {"RUN []", "parse.empty-command"},
        {"COPY --chmod=9 a /", "parse.bad-value"},
        {"RUN --mount=type=cache,target=${b:-/} x", "parse.bad-mount"},
        {"RUN --mount=type=cache,target=/c,source=/s x", "parse.bad-mount"},
        {"RUN --mount=type=tmpfs,target=.. x", "parse.bad-mount"},
        {"RUN --security=insecure x", "usage.not-allowed"},
        {"RUN <<\"a/b\"\n#!/bin/sh\na/b", "parse.bad-heredoc-name"},
        {"ENV a=${b:?needed}", "parse.required-variable"},
    }));
    CHECK(told("FROM scratch\n" + instruction + "\n") == Told{.code = code, .line = 2});
}

TEST_CASE("a relative destination is below the working directory") {
    const auto [text, destination] = GENERATE(table<std::string, std::string>({
        {"COPY a b/\n", "/b/"},
        {"WORKDIR /w\nCOPY a b\n", "/w/b"},
        {"WORKDIR /w\nCOPY a .\n", "/w/."},
        {"WORKDIR /w\nCOPY a /b\n", "/b"},
    }));
    const Lowered lowered = lower_text("FROM scratch\n" + text);
    CHECK(std::get<CopyFiles>(test::result_op<File>(lowered).actions.at(0)).destination == destination);
}

TEST_CASE("COPY --link is a layer of its own that is put on the stage") {
    const Lowered lowered = lower_text("FROM base\nCOPY --link a /\n", plain_options(), {{"base", image_config()}});
    const Node& merge = lowered.graph[lowered.result.value()];
    const Node& layer = lowered.graph[std::get<Merge>(merge.op).top];
    CHECK(std::holds_alternative<ImageSource>(lowered.graph[merge.base.value()].op));
    CHECK(!layer.base.has_value());
    CHECK(!std::get<File>(layer.op).users.has_value());
}

TEST_CASE("COPY --link looks at the stage only for the names of an owner") {
    const auto [owner, looks] =
        GENERATE(table<std::string, bool>({{"7", false}, {"7:8", false}, {"dev", true}, {"7:users", true}}));
    const Lowered lowered =
        lower_text("FROM base\nCOPY --link --chown=" + owner + " a /\n", plain_options(), {{"base", image_config()}});
    const Node& merge = lowered.graph[lowered.result.value()];
    CHECK(std::get<File>(lowered.graph[std::get<Merge>(merge.op).top].op).users.has_value() == looks);
}

TEST_CASE("COPY --link is an ordinary copy with --chmod, and where there is nothing below") {
    const auto text =
        GENERATE(as<std::string>(), "FROM base\nCOPY --link --chmod=755 a /\n", "FROM scratch\nCOPY --link a /\n");
    const Lowered lowered = lower_text(text, plain_options(), {{"base", image_config()}});
    CHECK(std::holds_alternative<File>(lowered.graph[lowered.result.value()].op));
}

TEST_CASE("an owner that variables leave empty is no owner") {
    const Lowered lowered = lower_text("FROM scratch\nCOPY --chown=$u:$g a /\n");
    CHECK_FALSE(std::get<CopyFiles>(test::result_op<File>(lowered).actions.at(0)).owner);
}

TEST_CASE("a heredoc of COPY is expanded unless its name is quoted") {
    const auto [word, content] = GENERATE(table<std::string, std::string>({{"EOF", "1\n"}, {"'EOF'", "$v\n"}}));
    const Lowered lowered = lower_text("FROM scratch\nARG v=1\nCOPY <<" + word + " /a\n$v\nEOF\n");
    CHECK(std::get<MakeFile>(test::result_op<File>(lowered).actions.at(0)).content == content);
}

TEST_CASE("images that a target can need are found without resolving any") {
    const std::string text =
        "FROM base AS a\nFROM unneeded AS b\nFROM scratch\nCOPY --from=a x /\nCOPY --from=tool x /\n";
    const auto needed = images_needed(parser::parse_file(test::source_file(text)), plain_options());
    Strings names;
    for (const ImageRequest& request : needed) names.push_back(request.name);
    CHECK(names == Strings{"base", "tool"});
}

TEST_CASE("what a target surely copies from the context is found without resolving any image") {
    const std::string text =
        "FROM base AS a\nCOPY --exclude=*.o src lib /x/\nFROM scratch AS b\nCOPY unneeded /\nFROM scratch\n"
        "COPY --from=a x /\nCOPY $v /\nCOPY [\"with space\", \"/\"]\nADD https://x.example/f /\nADD a.tar /\n"
        "COPY --parents ./a/./b /\n";
    const auto reads = context_reads(parser::parse_file(test::source_file(text)), plain_options());
    std::vector<Strings> sources;
    for (const CopyFiles& read : reads) sources.push_back(read.sources);
    CHECK(sources == std::vector<Strings>{{"with space"}, {"a.tar"}, {"./a/./b"}, {"src", "lib"}});
    CHECK(reads.at(2).parents);
    CHECK(reads.at(3).excludes == Strings{"*.o"});
}

TEST_CASE("the order of --build-arg does not change the graph") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::pair<std::string, std::string>> args = {
        {"a", "1"}, {"b", "2"}, {"c", "3"}, {"HTTP_PROXY", "p"}, {"no_proxy", "q"}};
    const std::string text = "FROM scratch\nARG a\nARG b\nARG c\nRUN [\"x\"]\nCOPY $a $b /$c/\n";
    const auto graph = [&](const Lowered& lowered) {
        return to_json(lowered.graph, lowered.result, plain_options().target_platform);
    };
    const std::string expected = graph(lower_text(text, with_args(args)));
    for (int round = 0; round < 20; ++round) {
        std::shuffle(args.begin(), args.end(), random);
        CHECK(graph(lower_text(text, with_args(args))) == expected);
    }
}
