#include "parser/values.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/parser/support.hpp"

using namespace imgbuild::parser;
using namespace std::chrono_literals;

namespace {

const std::string kBad = "parse.bad-value";

}  // namespace

TEST_CASE("ports are numbers or ranges with a protocol") {
    CHECK(parse_ports("80") == std::vector<std::string>{"80/tcp"});
    CHECK(parse_ports("80/") == std::vector<std::string>{"80/tcp"});
    CHECK(parse_ports("8000-8002/UDP") == std::vector<std::string>{"8000/udp", "8001/udp", "8002/udp"});
    CHECK(parse_ports("127.0.0.1:8080:80") == std::vector<std::string>{"80/tcp"});
    CHECK(parse_ports("[::1]:8080-8081:80-81/sctp") == std::vector<std::string>{"80/sctp", "81/sctp"});
}

TEST_CASE("other ports are refused") {
    const auto text = GENERATE("", "x", "80/foo", "70000", "90-80", "80-", "1.2.3:80:80", "1-3:80-81", ":/tcp");
    CHECK(thrown_code([&] { parse_ports(text); }) == kBad);
}

TEST_CASE("durations are sums of numbers with units") {
    CHECK(parse_duration("1h2m3s") == 3723s);
    CHECK(parse_duration("1.5s") == 1500ms);
    CHECK(parse_duration(".5ms") == 500us);
    CHECK(parse_duration("-2us") == -2us);
    CHECK(parse_duration("0") == 0s);
    const auto text = GENERATE("", "1", "s", "1x", "1s2", "-", "99999999999h", "1..5s");
    CHECK(thrown_code([&] { parse_duration(text); }) == kBad);
}

TEST_CASE("sizes have units of 1024 in any case") {
    CHECK(parse_size("512") == 512);
    CHECK(parse_size("1k") == 1024);
    CHECK(parse_size("1.5GiB") == 1610612736);
    CHECK(parse_size("64 MB") == 67108864);
    const auto text = GENERATE("", "x", "1x", "1bb", "-1", "99999999999999999999", "1kbb");
    CHECK(thrown_code([&] { parse_size(text); }) == kBad);
}

TEST_CASE("owners are a user and perhaps a group") {
    CHECK(parse_owner("1000").user == "1000");
    CHECK(parse_owner("a:b").group == "b");
    const auto text = GENERATE("", ":b", "a:", "a:b:c");
    CHECK(thrown_code([&] { parse_owner(text); }) == kBad);
}

TEST_CASE("signals are names or numbers") {
    CHECK(parse_signal("SIGTERM") == 15);
    CHECK(parse_signal("quit") == 3);
    CHECK(parse_signal("9") == 9);
    CHECK(parse_signal("SIGRTMIN+3") == 37);
    CHECK(parse_signal("RTMAX-1") == 63);
    const auto text = GENERATE("", "0", "65", "SIGFOO", "RTMIN+99", "SIG");
    CHECK(thrown_code([&] { parse_signal(text); }) == kBad);
}

TEST_CASE("an octal mode is set as it is") {
    const FileMode mode = FileMode::parse("4755");
    CHECK(mode.absolute() == 04755U);
    CHECK(mode.apply(0600, false) == 04755U);
}

TEST_CASE("a symbolic mode changes what was there, as chmod does") {
    const auto [text, before, after] =
        GENERATE(table<std::string, std::uint32_t, std::uint32_t>({{"u+x", 0644, 0744},
                                                                   {"+x", 0644, 0755},
                                                                   {"go=", 0777, 0700},
                                                                   {"u=rwX,go=rX", 0600, 0644},
                                                                   {"u=rwX,go=rX", 0700, 0755},
                                                                   {"a-w,u+s", 0755, 04555},
                                                                   {"g=u", 0640, 0660},
                                                                   {"o+t", 0755, 01755},
                                                                   {"u+r-w", 0200, 0400},
                                                                   {"=r", 0777, 0444}}));
    CHECK(FileMode::parse(text).apply(before, false) == after);
}

TEST_CASE("a capital X means directories and what is executable already") {
    CHECK(FileMode::parse("a+X").apply(0600, true) == 0711);
    CHECK(FileMode::parse("a+X").apply(0600, false) == 0600);
}

TEST_CASE("other modes are refused") {
    const auto text = GENERATE("", "8", "10000", "u", "u+z", "u+x,", ",", "x+u", "77777777777777777777");
    CHECK(thrown_code([&] { FileMode::parse(text); }) == kBad);
}
