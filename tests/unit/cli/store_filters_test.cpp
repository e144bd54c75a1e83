#include "cli/store_filters.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::cli;
using layers::ObjectKind;
using layers::StoredObject;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// 2026-01-31T12:00:00Z
constexpr std::int64_t kNow = 1'769'860'800 * kSecond;

StoreFilters parse(const std::vector<std::string>& filters, const std::string& older_than = "") {
    return parse_store_filters(filters, older_than, {"type", "until", "id", "inuse", "shared", "private"}, kNow);
}

std::string message_of(const std::vector<std::string>& filters) {
    try {
        parse(filters);
    } catch (const UsageError& error) {
        CHECK(error.code() == "usage.bad-filter");
        return error.message() + " | " + error.hint();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("a time is an age, a date, or seconds since 1970") {
    const auto [text, seconds_ago] = GENERATE(table<std::string, std::int64_t>({{"24h", 86'400},
                                                                                {"1h30m", 5'400},
                                                                                {"7d", 604'800},
                                                                                {"2w", 1'209'600},
                                                                                {"0s", 0},
                                                                                {"2026-01-31", 43'200},
                                                                                {"2026-01-31T11:00:00Z", 3'600},
                                                                                {"2026-01-31T11:00:00", 3'600},
                                                                                {"2026-01-31T12:00:00+01:00", 3'600},
                                                                                {"1769860790", 10}}));
    CHECK(parse({"until=" + text}).unused_since == kNow - seconds_ago * kSecond);
    CHECK(parse({}, text).unused_since == kNow - seconds_ago * kSecond);
}

TEST_CASE("several types are any of them, and of several times the earliest counts") {
    CHECK(parse({"type=layer", "type=mount"}).kinds == std::set{ObjectKind::layer, ObjectKind::mount});
    CHECK(parse({"type=exec.cachemount"}).kinds == std::set{ObjectKind::mount});
    CHECK(parse({"until=1h", "until=3h"}, "2h").unused_since == kNow - 10'800 * kSecond);
}

TEST_CASE("a filter that there is not is an error, which names those that there are") {
    CHECK(message_of({"label=a"}) ==
          "there is no filter 'label' | filters are type, until, id, inuse, shared, private, as in --filter type=…");
    CHECK(message_of({"type=volume"}) ==
          "the store holds nothing of the type 'volume' | types are image, layer, blob, mount and log");
    CHECK(message_of({"until=soon"}).starts_with("'soon' is neither an age nor a time | "));
    CHECK(message_of({"until="}).starts_with("'' is neither an age nor a time | "));
    CHECK(message_of({"until=-5h"}).starts_with("'-5h' is neither"));
    CHECK(message_of({"inuse=maybe"}).starts_with("the filter inuse is 'maybe', which is neither true nor false"));
}

TEST_CASE("objects are picked by all filters together") {
    const StoredObject blob{.kind = ObjectKind::blob, .id = "sha256:abcd", .last_used = kNow, .images = 2};
    CHECK(parse({}).accept(blob));
    CHECK(parse({"type=blob", "id=abc", "shared", "inuse=true"}).accept(blob));
    CHECK(parse({"id=sha256:ab"}).accept(blob));
    CHECK_FALSE(parse({"type=layer"}).accept(blob));
    CHECK_FALSE(parse({"id=bc"}).accept(blob));
    CHECK_FALSE(parse({"private"}).accept(blob));
    CHECK_FALSE(parse({"until=1s"}).accept(blob));
    CHECK_FALSE(parse({"type=blob", "inuse=false"}).accept(blob));
}

TEST_CASE("sizes have units of 1024") {
    CHECK(parse_store_size("--keep-storage", "20GB") == 20ULL << 30);
    CHECK(parse_store_size("--keep-storage", "512") == 512);
    CHECK_THROWS_AS(parse_store_size("--keep-storage", "much"), UsageError);
}
