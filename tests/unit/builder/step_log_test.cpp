#include "builder/ops/step_log.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/builder_support.hpp"

using namespace imgbuild;
using namespace imgbuild::builder;
using sandbox::Stream;

namespace {

struct LogFixture {
    test::Directory directory;
    test::Recorder recorder;
    Work work{.stop = {}, .progress = recorder, .step = 3};
    StepLog log{directory.at("log"), work};

    std::string on_disk() const { return util::read_file(log.path(), 1U << 20); }
};

std::string numbered_lines(int count) {
    std::string out;
    for (int i = 1; i <= count; ++i) out += "line " + std::to_string(i) + "\n";
    return out;
}

}  // namespace

TEST_CASE_METHOD(LogFixture, "both streams of a step go to the file and to who watches") {
    log.output(Stream::out, "one\n");
    log.output(Stream::err, "two\n");
    CHECK(on_disk() == "one\ntwo\n");
    CHECK(recorder.output() == "one\ntwo\n");
}

TEST_CASE_METHOD(LogFixture, "a log is never cut, and its tail is the last twenty lines") {
    const std::string text = numbered_lines(1000);
    log.output(Stream::out, text);
    CHECK(on_disk() == text);
    CHECK(log.tail().starts_with("line 981\n"));
    CHECK(log.tail().ends_with("line 1000"));
}

TEST_CASE_METHOD(LogFixture, "the tail of a short log is all of it") {
    log.output(Stream::out, "a\nb\n\n");
    CHECK(log.tail() == "a\nb");
}

TEST_CASE_METHOD(LogFixture, "the tail of one endless line is its end") {
    for (int i = 0; i < 100; ++i) log.output(Stream::out, std::string(1000, 'x'));
    log.output(Stream::out, "END");
    CHECK(log.tail().size() <= 4096);
    CHECK(log.tail().ends_with("xEND"));
}

TEST_CASE_METHOD(LogFixture, "the tail of nothing is nothing") {
    CHECK(log.tail().empty());
}

TEST_CASE_METHOD(LogFixture, "empty lines count as lines of the tail") {
    log.output(Stream::out, "far\n" + std::string(25, '\n') + "near");
    CHECK(log.tail().find("far") == std::string::npos);
    CHECK(log.tail().ends_with("near"));
}

TEST_CASE_METHOD(LogFixture, "a log never replaces another file") {
    CHECK_THROWS_AS(StepLog(log.path(), work), IoError);
}
