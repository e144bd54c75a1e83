#include "cli/usage_report.hpp"

#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

using namespace imgbuild::cli;
using imgbuild::layers::Inventory;
using imgbuild::layers::ObjectKind;
using imgbuild::layers::StoredObject;

namespace {

constexpr std::int64_t kTime = 1'769'860'800'000'000'000;

Inventory example() {
    Inventory out;
    out.objects = {
        {.kind = ObjectKind::image,
         .id = "sha256:" + std::string(64, 'a'),
         .last_used = kTime,
         .needs = {1},
         .names = {"docker.io/library/app:1"}},
        {.kind = ObjectKind::layer, .id = std::string(32, 'b'), .bytes = 8'000'000, .last_used = kTime, .images = 2},
        {.kind = ObjectKind::layer,
         .id = std::string(32, 'c'),
         .bytes = 2'000'000,
         .last_used = kTime,
         .what = "exec",
         .ingredients = R"({"args":["/bin/sh","-c","make\ninstall"]})"},
        {.kind = ObjectKind::mount,
         .id = std::string(64, 'd').append("/0"),
         .bytes = 500,
         .held = true,
         .what = "npm"}};
    out.overhead = 1'000'000;
    return out;
}

}  // namespace

TEST_CASE("usage is a line per kind and the whole") {
    CHECK(render_usage(example(), true) ==
          "TYPE    TOTAL  IN USE    SIZE  SHARED   RECLAIMABLE  LAST USED\n"
          "images      1       1       -       -             -  2026-01-31T12:00:00Z\n"
          "layers      2       1   10 MB  8.0 MB  2.0 MB (20%)  2026-01-31T12:00:00Z\n"
          "mounts      1       1   500 B     0 B      0 B (0%)  -\n"
          "index                  1.0 MB\n"
          "total: 11 MB, of which 2.0 MB can be reclaimed\n");
}

TEST_CASE("objects have a line each, which says what they are") {
    CHECK(render_objects(example().objects) ==
          "TYPE   ID                SIZE  STATE        LAST USED             WHAT\n"
          "image  aaaaaaaaaaaa         -  needed       2026-01-31T12:00:00Z  app:1\n"
          "layer  bbbbbbbbbbbb    8.0 MB  shared       2026-01-31T12:00:00Z  pulled\n"
          "layer  cccccccccccc    2.0 MB  reclaimable  2026-01-31T12:00:00Z  RUN make install\n"
          "mount  dddddddddddd/0   500 B  held         -                     npm\n");
}

TEST_CASE("a layer is told by its key, however odd that is") {
    const auto [what, ingredients, text] = GENERATE(table<std::string, std::string, std::string>(
        {{"exec", R"({"args":["/bin/true","x"]})", "RUN /bin/true x"},
         {"exec", R"({"args":[]})", "RUN"},
         {"exec", R"({"args":[7]})", "RUN"},
         {"exec", "not JSON", "exec"},
         {"file", R"({"actions":[{"do":"copy","sources":["a","b"],"to":"/c"}]})", "COPY a b /c"},
         {"file", R"({"actions":[{"do":"mkdir","to":"/w"}]})", "WORKDIR /w"},
         {"file", R"({"actions":[1]})", "COPY"},
         {"patch", "", "directories of a base"},
         {"squash", "{}", "squash"},
         {"", "", "pulled"}}));
    CHECK(describe({.kind = ObjectKind::layer, .what = what, .ingredients = ingredients}) == text);
}

TEST_CASE("as JSON it has exact bytes and all objects") {
    const auto json = usage_json(example(), true);
    CHECK(json["bytes"] == 11'000'500);
    CHECK(json["shared"] == 8'000'000);
    CHECK(json["reclaimable"] == 2'000'000);
    CHECK(json["types"]["layer"]["count"] == 2);
    CHECK(json["types"]["log"]["count"] == 0);
    CHECK(json["objects"].size() == 4);
    CHECK(json["objects"][2]["description"] == "RUN make install");
    CHECK_FALSE(usage_json(example(), false).contains("index"));
}
