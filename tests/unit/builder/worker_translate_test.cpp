#include "builder/worker/translate.hpp"

#include "builder/worker/protocol.hpp"
#include "tests/support/catch.hpp"

#include <new>
#include <stdexcept>

namespace imgbuild::worker {
namespace {

const KnownFile kFile = std::make_shared<const SourceFile>(SourceFile{.name = "Buildfile", .text = "FROM a\n"});
const Span kSpan{.line = 1, .column = 1, .end_line = 1, .end_column = 5};

ErrorInfo info(std::string code) {
    return {.code = std::move(code),
            .message = "it went wrong",
            .hint = "try again",
            .where = SourceSpan{.file = kFile, .span = kSpan}};
}

// What arrives at the other side of an error thrown at this one.
template <class Type>
Type carried(Type error, const KnownFile& known = kFile) {
    error.add_frame("inner");
    error.add_frame("outer");
    const Failure failure = to_failure(std::make_exception_ptr(error), kFile);
    const FromWorker arrived = decode_from_worker(encode(FromWorker(failure)));
    try {
        rethrow(std::get<Failure>(arrived), known);
    } catch (const Type& got) {
        CHECK(typeid(got) == typeid(error));
        CHECK(got.code() == error.code());
        CHECK(got.hint() == error.hint());
        CHECK(std::string(got.what()) == error.what());
        CHECK(got.where().has_value() == error.where().has_value());
        return got;
    }
}

}  // namespace

TEST_CASE("an error keeps its type and what it says") {
    CHECK(carried(Error(info("machine.no-overlay"))).message() == "it went wrong");
    CHECK(carried(UsageError(info("usage.bad-path"))).frames() == std::vector<std::string>{"outer", "inner"});
    CHECK(carried(IoError("open", "/x", 13)).error_number() == 13);
    CHECK(carried(CorruptData("blob", "a", "b")).code() == "corrupt.mismatch");
    CHECK(carried(RegistryError(info("registry.denied"), 403, RegistryError::Retry::yes)).status() == 403);
    CHECK(carried(RegistryError(info("registry.denied"), 403, RegistryError::Retry::yes)).retry() ==
          RegistryError::Retry::yes);
    CHECK(carried(Cancelled()).code() == "cancelled.interrupted");
    const StepFailed step = carried(StepFailed(info("build.step-failed"), 7, "tail\n", "/log"));
    CHECK(step.exit_code() == 7);
    CHECK(step.log_tail() == "tail\n");
    CHECK(step.log_path() == "/log");
}

TEST_CASE("all problems of a build file arrive") {
    const Diagnostic problem{.code = "parse.unknown-flag", .message = "m", .hint = "h", .span = kSpan};
    const ParseError got = carried(ParseError(kFile, {problem, problem}));
    CHECK(got.diagnostics() == std::vector{problem, problem});
    CHECK(got.where()->file == kFile);
}

TEST_CASE("the request's build file is not sent back") {
    CHECK(encode(FromWorker(to_failure(std::make_exception_ptr(Error(info("build.x"))), kFile))).find("FROM a") ==
          std::string::npos);
    CHECK(carried(Error(info("build.x"))).where()->file == kFile);
}

TEST_CASE("another file is sent with its text") {
    const Failure failure = to_failure(std::make_exception_ptr(Error(info("build.x"))), nullptr);
    try {
        rethrow(failure, nullptr);
    } catch (const Error& error) {
        CHECK(error.where()->file->text == "FROM a\n");
    }
}

TEST_CASE("what is no error of ours has a code all the same") {
    CHECK(to_failure(std::make_exception_ptr(std::bad_alloc()), nullptr).code == "resources.memory");
    const Failure failure = to_failure(std::make_exception_ptr(std::logic_error("oops")), nullptr);
    CHECK(failure.code == "internal.unexpected");
    CHECK(failure.message == "oops");
}

TEST_CASE("output and warnings become events again") {
    const WireEvent output = to_wire(event::StepOutput{.number = 2, .is_stderr = true, .text = "\xff"}, kFile);
    CHECK(std::get<event::StepOutput>(from_wire(output, kFile)).text == "\xff");
    const Diagnostic diagnostic{.severity = Severity::warning, .code = "c", .message = "m", .hint = {}, .span = kSpan};
    const WireEvent warning = to_wire(event::Warning{.diagnostic = diagnostic, .file = kFile}, kFile);
    CHECK(std::get<event::Warning>(from_wire(warning, kFile)).file == kFile);
    CHECK(std::get<event::Warning>(from_wire(warning, kFile)).diagnostic == diagnostic);
}

}  // namespace imgbuild::worker
