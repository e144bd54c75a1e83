// RUN --mount, --network, --security and scripts: from the build file to the graph.
#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using namespace imgbuild::builder::test;

namespace {

using Strings = std::vector<std::string>;

Exec exec_of(const std::string& text, const LowerOptions& options = plain_options(), Catalogue images = {}) {
    return result_op<Exec>(lower_text(text, options, std::move(images)));
}

template <class T>
T mount_of(const std::string& flags, const std::string& before = "") {
    return std::get<T>(exec_of("FROM scratch\n" + before + "RUN --mount=" + flags + " x\n").mounts.at(0));
}

}  // namespace

TEST_CASE("a target is relative to the working directory and cleaned") {
    CHECK(mount_of<TmpfsMount>("type=tmpfs,target=a//b/,size=4k", "WORKDIR /w\n").target == "/w/a/b");
    CHECK(mount_of<TmpfsMount>("type=tmpfs,target=/x/../y,size=4k").target == "/y");
    CHECK(mount_of<TmpfsMount>("type=tmpfs,target=/x,size=4k").size == 4096);
    CHECK(mount_of<TmpfsMount>("type=tmpfs,target=$T", "ARG T=/from-arg\n").target == "/from-arg");
}

TEST_CASE("a bind mount of the context stands on a file system with the named path alone") {
    const Lowered lowered = lower_text("FROM scratch\nRUN --mount=source=/a/../b*,target=/m x\n");
    const auto bind = std::get<BindMount>(result_op<Exec>(lowered).mounts.at(0));
    CHECK(bind.source == "mount");
    CHECK(bind.exact);
    CHECK_FALSE(bind.writable);
    const auto& copy = std::get<CopyFiles>(std::get<File>(lowered.graph[bind.from.value()].op).actions.at(0));
    CHECK(std::get<LocalSource>(lowered.graph[copy.from].op).name == "context");
    CHECK(copy.sources == Strings{"b\\*"});
    CHECK(copy.destination == "/mount");
}

TEST_CASE("the same files of a context are brought into the store once") {
    const Lowered lowered =
        lower_text("FROM scratch\nRUN --mount=source=a,target=/m x\nRUN --mount=source=a,target=/n x\n");
    std::size_t files = 0;
    for (NodeId id = 0; id < lowered.graph.size(); ++id) {
        files += std::holds_alternative<File>(lowered.graph[id].op) ? 1 : 0;
    }
    CHECK(files == 1);
}

TEST_CASE("a bind mount of a stage refers to the stage, and only the whole of it is exact") {
    const std::string stages = "FROM scratch AS s\nRUN [\"make\"]\nFROM scratch\nRUN --mount=from=s,target=/m";
    const auto whole = std::get<BindMount>(exec_of(stages + " x\n").mounts.at(0));
    CHECK(whole.from == NodeId{0});
    CHECK(whole.exact);
    const auto part = std::get<BindMount>(exec_of(stages + ",source=/p,rw x\n").mounts.at(0));
    CHECK(part.source == "p");
    CHECK_FALSE(part.exact);
    CHECK(part.writable);
}

TEST_CASE("an empty stage is an empty mount") {
    CHECK_FALSE(
        std::get<BindMount>(exec_of("FROM scratch AS s\nFROM scratch\nRUN --mount=from=s,target=/m x\n").mounts.at(0))
            .from.has_value());
}

TEST_CASE("a stage that a mount needs is lowered, and an image that it needs is asked for") {
    const std::string text = "FROM scratch\nRUN --mount=from=tool,target=/m x\n";
    const LowerOptions options = plain_options();
    const auto needed = images_needed(parser::parse_file(source_file(text)), options);
    REQUIRE(needed.size() == 1);
    CHECK(needed.begin()->name == "tool");
    CHECK(error_code([&] { lower_text(text); }) == "registry.not-found");
}

TEST_CASE("a cache has the defaults of docker") {
    const auto cache = mount_of<CacheMount>("type=cache,target=/c/");
    CHECK(cache.id == "/c");
    CHECK(cache.sharing == CacheMount::Sharing::shared);
    CHECK_FALSE(cache.read_only);
    CHECK(cache.mode == 0755);
    const auto full = mount_of<CacheMount>("type=cache,target=/c,id=i,sharing=private,mode=0700,uid=1,gid=2,readonly");
    CHECK(full.id == "i");
    CHECK(full.sharing == CacheMount::Sharing::exclusive);
    CHECK(full.read_only);
    CHECK(full.mode == 0700);
    CHECK(full.uid == 1);
    CHECK(full.gid == 2);
}

TEST_CASE("BUILDKIT_CACHE_MOUNT_NS keeps caches apart") {
    LowerOptions options = plain_options();
    options.build_args = {{"BUILDKIT_CACHE_MOUNT_NS", "mine"}};
    const Exec exec = exec_of("FROM scratch\nRUN --mount=type=cache,target=/c x\n", options);
    CHECK(std::get<CacheMount>(exec.mounts.at(0)).id == "mine//c");
}

TEST_CASE("a secret is a file, a variable, or both") {
    CHECK(mount_of<SecretMount>("type=secret,id=a").target == "/run/secrets/a");
    CHECK(mount_of<SecretMount>("type=secret,id=a").mode == 0400);
    CHECK(mount_of<SecretMount>("type=secret,id=a,env=A").target.empty());
    CHECK(mount_of<SecretMount>("type=secret,id=a,env=A").env == "A");
    CHECK(mount_of<SecretMount>("type=secret,id=a,env=A,target=b", "WORKDIR /w\n").target == "/w/b");
    CHECK(mount_of<SecretMount>("type=secret,target=/x/id,required").id == "id");
    CHECK(mount_of<SecretMount>("type=secret,target=/x/id,required").required);
}

TEST_CASE("agents are numbered") {
    const Exec exec =
        exec_of("FROM scratch\nRUN --mount=type=ssh --mount=type=ssh,id=b --mount=type=ssh,target=/s x\n");
    CHECK(std::get<SshMount>(exec.mounts.at(0)).target == "/run/buildkit/ssh_agent.0");
    CHECK(std::get<SshMount>(exec.mounts.at(0)).id == "default");
    CHECK(std::get<SshMount>(exec.mounts.at(1)).target == "/run/buildkit/ssh_agent.1");
    CHECK(std::get<SshMount>(exec.mounts.at(2)).target == "/s");
}

TEST_CASE("a heredoc with an interpreter of its own is a script that the shell starts") {
    const Exec exec = exec_of("FROM scratch\nRUN <<-EOF\n\t#!/bin/awk -f\n\tBEGIN {}\nEOF\n");
    CHECK(exec.args == Strings{"/bin/sh", "-c", "/dev/pipes/EOF"});
    REQUIRE(exec.scripts.size() == 1);
    CHECK(exec.scripts[0].name == "EOF");
    CHECK(exec.scripts[0].text == "#!/bin/awk -f\nBEGIN {}\n");
    CHECK(exec_of("FROM scratch\nRUN cat <<EOF\n#!/bin/sh\nEOF\n").scripts.empty());
}

TEST_CASE("options of the build reach every RUN") {
    LowerOptions options = plain_options();
    options.run = {.network = Network::none,
                   .allow_insecure = true,
                   .hosts = {{"h", "10.0.0.1"}},
                   .ulimits = {{.name = "nofile", .soft = 1, .hard = 2}},
                   .shm_size = 4096};
    const Exec exec = exec_of("FROM scratch\nRUN x\n", options);
    CHECK(exec.network == Network::none);
    CHECK(exec.security == Security::sandbox);
    CHECK(exec.hosts.size() == 1);
    CHECK(exec.ulimits.size() == 1);
    CHECK(exec.shm_size == 4096);
    CHECK(exec_of("FROM scratch\nRUN --network=default x\n", options).network == Network::none);
    CHECK(exec_of("FROM scratch\nRUN --network=host x\n", options).network == Network::host);
    CHECK(exec_of("FROM scratch\nRUN --security=insecure x\n", options).security == Security::insecure);
}

TEST_CASE("a trigger's mounts mean the stages of the file that runs it") {
    const Catalogue images = {
        {"base", image_config({.on_build = {"RUN --mount=from=tools,target=/t --mount=type=cache,target=/c x"}})}};
    const Lowered lowered = lower_text("FROM scratch AS tools\nRUN [\"make\"]\nFROM base\n", plain_options(), images);
    const Exec& exec = result_op<Exec>(lowered);
    REQUIRE(exec.mounts.size() == 2);
    const NodeId tools = std::get<BindMount>(exec.mounts[0]).from.value();
    CHECK(std::get<Exec>(lowered.graph[tools].op).args == Strings{"make"});
}

TEST_CASE("a step is shown with the values of its variables and the beginning of its script") {
    const auto shown = [](const std::string& text) {
        const Lowered lowered = lower_text(text);
        return lowered.graph[lowered.result.value()].origin.instruction;
    };
    CHECK(shown("FROM scratch\nARG V=1\nRUN echo \"$V\" '$V' $NOT > /$V\n") == "RUN echo \"1\" '$V' $NOT > /1");
    CHECK(shown("FROM scratch\nRUN echo ${a[0]}\n") == "RUN echo ${a[0]}");
    CHECK(shown("FROM scratch\nRUN <<E\necho 1 > /o\nE\n") == "RUN <<E (echo 1 > /o)");
    CHECK(shown("FROM scratch\nRUN <<E\necho 1\necho 2\nE\n") == "RUN <<E (echo 1…)");
}
