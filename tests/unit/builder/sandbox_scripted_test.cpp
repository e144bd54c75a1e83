#include <imgbuild/error.hpp>

#include "builder/sandbox/sandbox.hpp"
#include "tests/support/catch.hpp"

using namespace imgbuild;
using namespace imgbuild::sandbox;

namespace {

class Text final : public OutputSink {
public:
    void output(Stream, std::string_view bytes) override { text += bytes; }
    std::string text;
};

}  // namespace

TEST_CASE("a scripted step is one call of its function") {
    ScriptedSandbox sandbox([](const ScriptedStep& step) {
        step.output.output(Stream::out, step.spec.args.at(0));
        return StepResult{.exit_code = 7};
    });
    StepSpec spec;
    spec.args = {"hello"};
    Text output;
    CHECK(sandbox.run(spec, output, {}).exit_code == 7);
    CHECK(output.text == "hello");
}

TEST_CASE("a scripted step that is stopped is cancelled") {
    std::stop_source stop;
    ScriptedSandbox sandbox([&](const ScriptedStep&) {
        stop.request_stop();
        return StepResult{};
    });
    Text output;
    CHECK_THROWS_AS(sandbox.run({}, output, stop.get_token()), Cancelled);
}

TEST_CASE("a scripted step refuses the same specs as a real one") {
    ScriptedSandbox sandbox([](const ScriptedStep&) { return StepResult{}; });
    StepSpec spec;
    spec.mounts = {TmpfsMount{.target = "/proc"}};
    Text output;
    CHECK_THROWS_AS(sandbox.run(spec, output, {}), UsageError);
}
