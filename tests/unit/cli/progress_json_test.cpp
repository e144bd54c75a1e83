#include "cli/progress_json.hpp"

#include "tests/support/catch.hpp"
#include "util/fd.hpp"
#include "util/text.hpp"

#include <nlohmann/json.hpp>

#include <csignal>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

std::vector<json> lines_of(const std::vector<Event>& events) {
    util::Pipe pipe = util::make_pipe();
    JsonProgress progress(pipe.write.get());
    for (const Event& event : events) progress.report(event);
    pipe.write.reset();
    const std::string text = util::read_all(pipe.read.get(), 1 << 20, "the pipe");
    std::vector<json> out;
    for (const std::string_view line : util::split(text, '\n')) {
        if (!line.empty()) out.push_back(json::parse(line));
    }
    return out;
}

const StepInfo kStep{.number = 2, .stage = "s", .position = "s 1/2", .instruction = "RUN \"x\"", .line = 7};

TEST_CASE("each event is one line of JSON with its version") {
    const auto lines = lines_of({event::BuildPlanned{3}, event::StepStarted{kStep},
                                 event::StepOutput{2, true, "two\nlines"}, event::StepTransfer{2, "layer", 5, 10}});
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == json({{"v", 1}, {"event", "planned"}, {"steps", 3}}));
    CHECK(lines[1] == json({{"v", 1},
                            {"event", "started"},
                            {"id", 2},
                            {"instruction", "RUN \"x\""},
                            {"stage", "s"},
                            {"position", "s 1/2"},
                            {"line", 7}}));
    CHECK(lines[2] == json({{"v", 1}, {"event", "output"}, {"id", 2}, {"stream", "stderr"}, {"text", "two\nlines"}}));
    CHECK(lines[3] ==
          json({{"v", 1}, {"event", "transfer"}, {"id", 2}, {"what", "layer"}, {"done", 5}, {"total", 10}}));
}

TEST_CASE("an end says how: with an error if it failed, with a reason otherwise") {
    const auto lines = lines_of({event::StepFinished{kStep, StepOutcome::cached, std::chrono::milliseconds(3), "why"},
                                 event::StepFinished{kStep, StepOutcome::failed, std::chrono::milliseconds(4), "broke"},
                                 event::StepFinished{kStep, StepOutcome::cancelled, std::chrono::milliseconds(5), ""}});
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].at("cached") == true);
    CHECK(lines[0].at("reason") == "why");
    CHECK(lines[0].at("ms") == 3);
    CHECK(lines[1].at("outcome") == "failed");
    CHECK(lines[1].at("error") == "broke");
    CHECK_FALSE(lines[1].contains("reason"));
    CHECK(lines[2].at("outcome") == "cancelled");
    CHECK_FALSE(lines[2].contains("reason"));
}

TEST_CASE("what is not known is left out") {
    const auto lines = lines_of({event::StepStarted{{.number = 1, .instruction = "push 'a'"}},
                                 event::Warning{{Severity::warning, "build.x", "odd", "", {}}, nullptr}});
    REQUIRE(lines.size() == 2);
    CHECK(lines[0] == json({{"v", 1}, {"event", "started"}, {"id", 1}, {"instruction", "push 'a'"}}));
    CHECK(lines[1] == json({{"v", 1}, {"event", "warning"}, {"code", "build.x"}, {"message", "odd"}}));
}

TEST_CASE("bytes that are not UTF-8 do not break the line") {
    const auto lines = lines_of({event::StepOutput{1, false, "a\xff\x01z"}});
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].at("text") == "a\xef\xbf\xbd\x01z");
}

TEST_CASE("JSON progress that nobody reads or that is closed does not end the build") {
    std::signal(SIGPIPE, SIG_IGN);  // as main() does
    util::Pipe pipe = util::make_pipe();
    pipe.read.reset();
    for (const int fd : {pipe.write.get(), -1}) {
        JsonProgress progress(fd);
        progress.report(event::BuildPlanned{1});
    }
}

}  // namespace
}  // namespace imgbuild::cli
