#include "builder/ops/keys.hpp"

#include "builder/context/checksums.hpp"
#include "builder/context/local_tree.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

#include <filesystem>
#include <functional>
#include <random>
#include <set>

using namespace imgbuild;
using namespace imgbuild::builder;

namespace {

LayerPtr layer(const std::string& name) {
    return std::make_shared<Layer>(util::Sha256::of(name));
}

FileSystem stack(const std::vector<std::string>& names) {
    FileSystem out;
    for (const std::string& name : names) out.layers.push_back(layer(name));
    return out;
}

KeyContext plain_context() {
    return {.platform = Platform::parse("linux/amd64"), .time_limit = {}, .slot = "a 1/1"};
}

Exec plain_exec() {
    return {.args = {"make", "all"}, .env = {"A=1"}};
}

Digest key_of(const Exec& exec, const FileSystem& base = stack({"a"}), const KeyContext& context = plain_context()) {
    return exec_key(exec, base, context).key;
}

Exec changed(const std::function<void(Exec&)>& change) {
    Exec out = plain_exec();
    change(out);
    return out;
}

struct ContextFixture {
    test::Directory directory;
    test::Directory store_directory;
    std::shared_ptr<layers::Store> store = layers::Store::open(store_directory.at("store"));

    ContextFixture() { fill(directory); }

    static void fill(const test::Directory& to) {
        to.write("src/main.c", "int main;");
        to.write("src/run", "#!", 0755);
        to.link("src/link", "main.c");
        to.hard_link("src/twin", "src/run");
    }
    Digest checksum_of(const test::Directory& where) const {
        test::Recorder recorder;
        const Work work{.stop = {}, .progress = recorder};
        const LocalTree tree(util::RootedDir::open(where.path()), {}, "");
        const Selection selection = select_files(tree, {.from = 0, .sources = {"src"}, .destination = "/"});
        return selection_checksum(selection, content_checksums(tree, files_of(selection), *store, 2, work));
    }
};

}  // namespace

TEST_CASE("everything that a command can observe is in its key") {
    const auto change = GENERATE(
        as<std::function<void(Exec&)>>(), [](Exec& exec) { exec.args = {"make all"}; },
        [](Exec& exec) { exec.env = {"A=2"}; }, [](Exec& exec) { exec.workdir = "/w"; },
        [](Exec& exec) { exec.user = "dev"; }, [](Exec& exec) { exec.network = Network::none; });
    CHECK(key_of(changed(change)) != key_of(plain_exec()));
}

TEST_CASE("every option of a mount is in a command's key, and so is all that the build adds to a step") {
    const auto change = GENERATE(
        as<std::function<void(Exec&)>>(), [](Exec& exec) { exec.mounts = {TmpfsMount{.target = "/t"}}; },
        [](Exec& exec) { exec.mounts = {TmpfsMount{.target = "/t", .size = 1}}; },
        [](Exec& exec) { exec.mounts = {BindMount{.from = {}, .source = {}, .target = "/t"}}; },
        [](Exec& exec) { exec.mounts = {BindMount{.from = {}, .source = {}, .target = "/t", .writable = true}}; },
        [](Exec& exec) { exec.mounts = {CacheMount{.id = "i", .target = "/t", .from = {}, .source = {}}}; },
        [](Exec& exec) { exec.mounts = {CacheMount{.id = "j", .target = "/t", .from = {}, .source = {}}}; },
        [](Exec& exec) { exec.mounts = {SecretMount{.id = "s", .target = "/t", .env = {}}}; },
        [](Exec& exec) { exec.mounts = {SecretMount{.id = "s", .target = "/t", .env = "V"}}; },
        [](Exec& exec) { exec.mounts = {SshMount{.id = "a", .target = "/t"}}; },
        [](Exec& exec) { exec.mounts = {SshMount{.id = "a", .target = "/t", .uid = 1}}; },
        [](Exec& exec) { exec.scripts = {{.name = "EOF", .text = "#!/bin/a"}}; },
        [](Exec& exec) { exec.scripts = {{.name = "EOF", .text = "#!/bin/b"}}; },
        [](Exec& exec) {
            exec.hosts = {{"h", "::1"}};
        },
        [](Exec& exec) { exec.shm_size = 4096; },
        [](Exec& exec) { exec.ulimits = {{.name = "cpu", .soft = 1, .hard = 1}}; },
        [](Exec& exec) { exec.security = Security::insecure; });
    static std::set<std::string> seen = {key_of(plain_exec()).text()};
    CHECK(seen.insert(key_of(changed(change)).text()).second);
}

TEST_CASE("what a mount shows is in the key by its layers, or by its checksum and then by nothing else") {
    const Exec exec = changed([](Exec& out) { out.mounts = {BindMount{.from = 0, .source = "s", .target = "/t"}}; });
    const auto key = [&](SourceIdentity source) {
        return exec_key(exec, stack({"a"}), plain_context(), {std::move(source)}).key;
    };
    const Digest one = util::Sha256::of("one");
    const Digest two = util::Sha256::of("two");
    CHECK(key({.checksum = {}, .layers = {one}}) != key({.checksum = {}, .layers = {two}}));
    CHECK(key({.checksum = one, .layers = {one}}) == key({.checksum = one, .layers = {two}}));
    CHECK(key({.checksum = one, .layers = {}}) != key({.checksum = two, .layers = {}}));
}

TEST_CASE("id, owner, mode and seed tell caches apart; target and sharing do not") {
    const CacheMount plain{.id = "i", .target = "/t", .from = {}, .source = {}};
    const auto identity = [&](const std::function<void(CacheMount&)>& change, const FileSystem& seed = {}) {
        CacheMount cache = plain;
        change(cache);
        return cache_identity(cache, seed);
    };
    const Digest same = cache_identity(plain, {});
    CHECK(identity([](CacheMount& cache) { cache.target = "/u"; }) == same);
    CHECK(identity([](CacheMount& cache) { cache.sharing = CacheMount::Sharing::locked; }) == same);
    CHECK(identity([](CacheMount& cache) { cache.id = "j"; }) != same);
    CHECK(identity([](CacheMount& cache) { cache.uid = 1; }) != same);
    CHECK(identity([](CacheMount& cache) { cache.mode = 0700; }) != same);
    const Digest seeded = identity([](CacheMount& cache) { cache.from = 0; }, stack({"a"}));
    CHECK(seeded != same);
    CHECK(identity([](CacheMount& cache) { cache.from = 0; }, stack({"b"})) != seeded);
}

TEST_CASE("proxies are in no key") {
    CHECK(key_of(changed([](Exec& exec) { exec.unkeyed_env = {"http_proxy=p"}; })) == key_of(plain_exec()));
}

TEST_CASE("the base's layers, their order and its time are in a command's key") {
    FileSystem later = stack({"a"});
    later.base_time += 1;
    CHECK(key_of(plain_exec(), stack({"a", "b"})) != key_of(plain_exec(), stack({"b", "a"})));
    CHECK(key_of(plain_exec(), stack({"a"})) != key_of(plain_exec(), stack({"b"})));
    CHECK(key_of(plain_exec(), stack({"a"})) != key_of(plain_exec(), later));
}

TEST_CASE("platform and explicit time are in a key, the slot is not") {
    KeyContext other_platform = plain_context();
    other_platform.platform = Platform::parse("linux/arm64");
    KeyContext limited = plain_context();
    limited.time_limit = 7;
    KeyContext other_slot = plain_context();
    other_slot.slot = "b 2/2";
    CHECK(key_of(plain_exec(), stack({"a"}), other_platform) != key_of(plain_exec()));
    CHECK(key_of(plain_exec(), stack({"a"}), limited) != key_of(plain_exec()));
    CHECK(key_of(plain_exec(), stack({"a"}), other_slot) == key_of(plain_exec()));
}

TEST_CASE("the key is the digest of what people can read") {
    const layers::KeyRecord record = exec_key(plain_exec(), stack({"a"}), plain_context());
    CHECK(record.key == util::Sha256::of(record.ingredients));
    CHECK_THAT(record.ingredients, Catch::Contains("\"args\":[\"make\",\"all\"]"));
}

TEST_CASE("arguments that are no UTF-8 have keys of their own") {
    CHECK(key_of(changed([](Exec& exec) { exec.args = {"\xff"}; })) !=
          key_of(changed([](Exec& exec) { exec.args = {"\xfe"}; })));
}

TEST_CASE("the content key does not depend on the base beyond its height") {
    const Placement placement{.entries = {{.entry = {.path = "a"}, .content = FromText{"text"}}}, .warnings = {}};
    const auto key = [&](const FileSystem& base) {
        return file_content_key(placement, {{}}, base, plain_context()).key;
    };
    CHECK(key(stack({"a"})) == key(stack({"b"})));
    CHECK(key(stack({"a"})) != key(stack({"a", "b"})));
}

TEST_CASE("an archive is unpacked against its base, which is in the content key") {
    const SourceFileInfo file{.entry = {.path = "a.tar"}, .link_group = {}};
    const Placement placement{
        .entries = {{.entry = {.path = ""}, .content = FromArchive{.action = 0, .file = &file, .owner = {}}}},
        .warnings = {}};
    const auto key = [&](const FileSystem& base) {
        return file_content_key(placement, {{}}, base, plain_context()).key;
    };
    CHECK(key(stack({"a"})) != key(stack({"b"})));
}

TEST_CASE_METHOD(ContextFixture, "the same files of two checkouts with other times have the same checksum") {
    const std::uint64_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Digest expected = checksum_of(directory);
    for (int round = 0; round < 5; ++round) {
        const test::Directory checkout;
        fill(checkout);
        for (const char* name : {"src/main.c", "src/run", "src/link", "src"}) {
            checkout.set_time(name, static_cast<std::int64_t>(random() % 2'000'000'000));
        }
        CHECK(checksum_of(checkout) == expected);
    }
}

TEST_CASE_METHOD(ContextFixture, "whatever else changes of a file changes the checksum") {
    const auto change = GENERATE(
        as<std::function<void(const test::Directory&)>>(),
        [](const test::Directory& to) { to.write("src/main.c", "int nain;"); },
        [](const test::Directory& to) { to.write("src/main.c", "int main;", 0600); },
        [](const test::Directory& to) { to.write("src/new", ""); },
        [](const test::Directory& to) { to.make_directory("src", 0700); },
        [](const test::Directory& to) { to.write("src/link", "main.c"); },
        [](const test::Directory& to) { to.write("src/twin", "#!", 0755); });
    const Digest before = checksum_of(directory);
    change(directory);
    CHECK(checksum_of(directory) != before);
}
