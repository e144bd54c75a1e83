#include "builder/worker/channel.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <thread>

namespace imgbuild::worker {
namespace {

struct Ends {
    Ends() : Ends(make()) {}
    explicit Ends(std::pair<int, int> fds) : here(util::Fd(fds.first)), there(util::Fd(fds.second)) {}
    static std::pair<int, int> make() {
        int fds[2];
        util::check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "make", "a socket pair");
        return {fds[0], fds[1]};
    }
    Channel here;
    Channel there;
};

std::string text_of(const util::Fd& fd) {
    return util::read_all(fd.get(), 100, "a pipe");
}

util::Fd pipe_with(const std::string& text) {
    util::Pipe pipe = util::make_pipe();
    util::write_all(pipe.write.get(), text, "a pipe");
    return std::move(pipe.read);
}

}  // namespace

TEST_CASE("lines arrive whole and in order, short and long ones") {
    Ends ends;
    const std::string longest(3U << 20, 'x');
    std::jthread sender([&] {
        ends.here.send("one");
        ends.here.send("");
        ends.here.send(longest);
    });
    CHECK(ends.there.receive() == "one");
    CHECK(ends.there.receive() == "");
    CHECK((ends.there.receive() == longest));
}

TEST_CASE("lines of many threads are not mixed") {
    Ends ends;
    const std::string a(100000, 'a');
    const std::string b(100000, 'b');
    std::jthread first([&] {
        for (int i = 0; i < 20; ++i) ends.here.send(a);
    });
    std::jthread second([&] {
        for (int i = 0; i < 20; ++i) ends.here.send(b);
    });
    std::size_t whole = 0;
    for (int i = 0; i < 40; ++i) {
        const auto line = ends.there.receive();
        whole += (line == a || line == b) ? 1 : 0;
    }
    CHECK(whole == 40);
}

TEST_CASE("descriptors arrive with their line, in order") {
    Ends ends;
    const util::Fd one = pipe_with("one");
    const util::Fd two = pipe_with("two");
    const util::Fd three = pipe_with("three");
    const int first[] = {one.get(), two.get()};
    const int second[] = {three.get()};
    ends.here.send("a", first);
    ends.here.send("b", second);
    CHECK(ends.there.receive() == "a");
    CHECK(text_of(ends.there.take_descriptor()) == "one");
    CHECK(text_of(ends.there.take_descriptor()) == "two");
    CHECK(ends.there.receive() == "b");
    CHECK(text_of(ends.there.take_descriptor()) == "three");
    CHECK_FALSE(ends.there.take_descriptor());
}

TEST_CASE("more descriptors than a message can have are refused") {
    Ends ends;
    const util::Fd fd = pipe_with("");
    const std::vector<int> many(5, fd.get());
    ends.here.send("a", many);
    ends.here.send("b", many);
    CHECK(ends.there.receive() == "a");
    CHECK_THROWS_AS(ends.there.receive(), CorruptData);
}

TEST_CASE("the end of the other side is nothing, and a line that it did not finish is dropped") {
    Ends ends;
    CHECK(::write(ends.here.fd(), "whole\npart", 10) == 10);
    ::shutdown(ends.here.fd(), SHUT_WR);
    CHECK(ends.there.receive() == "whole");
    CHECK(ends.there.receive() == std::nullopt);
}

TEST_CASE("writing to a side that is gone throws and raises no signal") {
    const auto [mine, other] = Ends::make();
    Channel here{util::Fd(mine)};
    ::close(other);
    CHECK_THROWS_AS(here.send("x"), IoError);
}

TEST_CASE("a reader can be woken while the other way stays open") {
    Ends ends;
    std::jthread waker([&] { ends.there.stop_reading(); });
    CHECK(ends.there.receive() == std::nullopt);
    ends.there.send("still");
    CHECK(ends.here.receive() == "still");
}

}  // namespace imgbuild::worker
