#include "builder/worker/protocol.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/builder/worker_samples.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>

namespace imgbuild::worker {
namespace {

using nlohmann::json;
using namespace test;

void check_golden(const std::string& name, const std::string& actual) {
    const std::string path = "testdata/worker/" + name;
    if (std::getenv("IMGBUILD_ACCEPT") != nullptr) {
        std::filesystem::create_directories("testdata/worker");
        util::AtomicFile file(path);
        file.write(actual);
        file.commit();
        FAIL("golden rewritten: " << path);
    }
    CHECK(actual == util::read_file(path, 1U << 20));
}

template <class Message>
std::string lines(const std::vector<Message>& messages) {
    std::string out;
    for (const Message& message : messages) out += encode(message) + "\n";
    return out;
}

// The code of the error with which a line is refused, and its message.
template <class Decode>
std::string refusal(Decode decode, const std::string& line) {
    try {
        static_cast<void>(decode(line));
    } catch (const CorruptData& error) {
        CHECK(error.code() == "worker.bad-message");
        return error.message();
    }
    return "accepted";
}

json parsed(const FromHost& message) {
    return json::parse(encode(message));
}

// The members of `full` that are as in `plain`: a sample that shows nothing of them.
void find_unshown(const json& full, const json& plain, const std::string& place, std::vector<std::string>& out) {
    for (const auto& [name, value] : full.items()) {
        if (value.is_object() && plain.contains(name) && plain[name].is_object()) {
            find_unshown(value, plain[name], place + "." + name, out);
        } else if (plain.contains(name) && value == plain[name]) {
            out.push_back(place + "." + name);
        }
    }
}

}  // namespace

TEST_CASE("messages of the host are written as their golden") {
    check_golden("from-host.jsonl", lines(host_samples()));
}

TEST_CASE("messages of the worker are written as their golden") {
    check_golden("from-worker.jsonl", lines(worker_samples()));
}

TEST_CASE("every message is read as it was written") {
    for (const FromHost& message : host_samples()) {
        CHECK(encode(decode_from_host(encode(message))) == encode(message));
    }
    for (const FromWorker& message : worker_samples()) {
        CHECK(encode(decode_from_worker(encode(message))) == encode(message));
    }
}

TEST_CASE("the sample of a build shows every member of the builder's request") {
    const json full = parsed(Request{.task = full_request()})["request"]["task"]["build"];
    const json plain = parsed(Request{.task = builder::BuildRequest{}})["request"]["task"]["build"];
    std::vector<std::string> unshown;
    find_unshown(full, plain, "", unshown);
    CHECK(unshown == std::vector<std::string>{});
}

TEST_CASE("a build arrives with every member") {
    const builder::BuildRequest sent = full_request();
    const FromHost message = decode_from_host(encode(Request{.task = sent}));
    const auto& got = std::get<builder::BuildRequest>(std::get<Request>(message).task);
    CHECK(got.file->text == sent.file->text);
    CHECK(got.lower.build_args == sent.lower.build_args);
    CHECK(got.lower.target_platform == sent.lower.target_platform);
    CHECK(got.lower.contexts.at("base").kind == builder::NamedContext::Kind::image);
    CHECK(got.names == sent.names);
    CHECK(got.outputs.at(0).kind == builder::Output::Kind::oci_layout);
    CHECK(got.codec == sent.codec);
    CHECK(got.source_date_epoch == sent.source_date_epoch);
    CHECK(got.jobs == 3);
    CHECK(got.tag_ttl == std::chrono::minutes(3));
}

TEST_CASE("a member that is not known is refused with its place") {
    for (const FromHost& message : host_samples()) {
        json line = parsed(message);
        line.begin().value()["surprise"] = 1;
        CHECK(refusal(decode_from_host, line.dump()) ==
              "the worker protocol does not know this: message." + line.begin().key() + " has no member 'surprise'");
    }
    json line = parsed(host_samples().front());
    line["request"]["task"]["build"]["lower"]["targt"] = "x";
    CHECK(refusal(decode_from_host, line.dump()) ==
          "the worker protocol does not know this: message.request.task.build.lower has no member 'targt'");
}

TEST_CASE("a member that is absent keeps its default") {
    const FromHost message = decode_from_host(R"({"request":{"task":{"build":{"context":"/c"}}}})");
    const auto& request = std::get<Request>(message);
    CHECK(request.protocol == kProtocol);
    CHECK(std::get<builder::BuildRequest>(request.task).jobs == builder::BuildRequest{}.jobs);
}

TEST_CASE("what is no message is refused with its place") {
    const auto [line, problem] = GENERATE(table<std::string, std::string>({
        {"[]", "message is no object with one member"},
        {R"({"cancel":{},"more":{}})", "message is no object with one member"},
        {R"({"stop":{}})", "message cannot be 'stop'"},
        {R"({"cancel":1})", "message.cancel is no object"},
        {R"({"request":{"task":{"bake":{}}}})", "message.request.task cannot be 'bake'"},
        {R"({"request":{"protocol":-1}})", "message.request.protocol is out of range"},
        {R"({"request":{"protocol":4294967296}})", "message.request.protocol is too large"},
        {R"({"request":{"protocol":1.5}})", "message.request.protocol is no whole number"},
        {R"({"request":{"store":1}})", "message.request.store is no text"},
        {R"({"request":{"store":{"bytes":"\u0100"}}})",
         "message.request.store has a character that stands for no byte"},
        {R"({"request":{"plain_http":["a",2]}})", "message.request.plain_http[1] is no text"},
        {R"({"request":{"task":{"build":{"cache":"none"}}}})", "message.request.task.build.cache cannot be 'none'"},
        {R"({"request":{"task":{"build":{"context_directories":[["a","b"],["a","c"]]}}}})",
         "message.request.task.build.context_directories has a name twice"},
    }));
    CHECK(refusal(decode_from_host, line) == "the worker protocol does not know this: " + problem);
}

TEST_CASE("what is no JSON is refused") {
    CHECK(refusal(decode_from_host, "{").starts_with("a line from the host is not valid JSON"));
    CHECK(refusal(decode_from_worker, "\xff").starts_with("a line from the worker is not valid JSON"));
    CHECK(refusal(decode_from_host, std::string(1000, '[')).contains("nested deeper"));
}

TEST_CASE("a digest that is none is refused") {
    CHECK(refusal(decode_from_worker, R"({"result":{"sent":{"manifest":"sha256:00"}}})").ends_with("is no digest"));
}

TEST_CASE("a line holds no newline, whatever text it carries") {
    const std::string line = encode(FromHost(Request{.task = InspectImage{.image = "a\nb\r\xe2\x80\xa8"}}));
    CHECK(line.find('\n') == std::string::npos);
    CHECK(std::get<InspectImage>(std::get<Request>(decode_from_host(line)).task).image == "a\nb\r\xe2\x80\xa8");
}

}  // namespace imgbuild::worker
