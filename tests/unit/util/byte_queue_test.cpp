#include "util/byte_queue.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

#include <random>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::util;

namespace {

std::string noise(std::size_t size) {
    std::mt19937 random(7);
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
}

// Writes `text` in pieces of changing sizes.
void write_pieces(const std::string& text, Sink& into) {
    std::mt19937 random(3);
    for (std::string_view rest = text; !rest.empty();) {
        const std::string_view piece = rest.substr(0, 1 + random() % 300000);
        into.write(as_bytes(piece));
        rest.remove_prefix(piece.size());
    }
}

}  // namespace

TEST_CASE("all bytes pass a queue in order, whatever it holds") {
    const std::size_t capacity = GENERATE(std::size_t{1}, std::size_t{4096}, std::size_t{1} << 20);
    const std::string text = noise(capacity == 1 ? 2000 : 3'000'000);
    ByteQueue queue(capacity);
    const std::jthread writer([&] { queue.run_producer([&](Sink& into) { write_pieces(text, into); }); });
    const bool same = read_all(queue.source(), text.size(), "noise") == text;
    CHECK(same);
}

TEST_CASE("a reader gets what came before the failure, and then the failure") {
    ByteQueue queue(100);
    queue.run_producer([](Sink& into) {
        into.write(as_bytes("abc"));
        throw CorruptData("blob", "right", "wrong");
    });
    std::array<std::byte, 10> buffer{};
    CHECK(queue.source().read(buffer) == 3);
    CHECK_THROWS_AS(queue.source().read(buffer), CorruptData);
    CHECK(queue.failure() != nullptr);
}

TEST_CASE("nobody waits for a reader who has left") {
    ByteQueue queue(10);
    std::jthread writer([&] { queue.run_producer([&](Sink& into) { into.write(as_bytes(noise(1000))); }); });
    std::array<std::byte, 5> buffer{};
    CHECK(queue.source().read(buffer) > 0);
    queue.stop_reading();
    writer.join();
    CHECK(queue.failure() == nullptr);
}

TEST_CASE("reading ahead changes nothing but the thread") {
    const std::string text = noise(700'000);
    MemorySource inner(text);
    ReadAhead ahead(inner, 10'000);
    const bool same = read_all(ahead, text.size(), "noise") == text;
    CHECK(same);
}

TEST_CASE("reading ahead can be given up in the middle") {
    const std::string text = noise(700'000);
    MemorySource inner(text);
    ReadAhead ahead(inner, 1000);
    std::array<std::byte, 5> buffer{};
    CHECK(ahead.read(buffer) > 0);
}
