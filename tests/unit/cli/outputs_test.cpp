#include "cli/outputs.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

namespace imgbuild::cli {
namespace {

using Kind = builder::Output::Kind;
using Fields = std::vector<std::string>;

UsageError refusal_of(const std::string& text) {
    try {
        static_cast<void>(parse_output(text));
    } catch (const UsageError& error) {
        return error;
    }
    FAIL("accepted: " << text);
    throw 0;
}

TEST_CASE("an archive, a layout and a registry are the outputs") {
    CHECK(parse_output("type=oci,dest=a.tar")->kind == Kind::oci_archive);
    CHECK(parse_output("type=oci,dest=a.tar")->destination == "a.tar");
    CHECK(parse_output("type=oci,dest=-")->destination == "-");
    CHECK(parse_output("type=oci,tar=false,dest=dir")->kind == Kind::oci_layout);
    CHECK(parse_output("type=registry")->kind == Kind::registry);
    CHECK(parse_output("type=image,push=true")->kind == Kind::registry);
}

TEST_CASE("an image in the store is no output besides the store") {
    CHECK_FALSE(parse_output("type=image"));
    CHECK_FALSE(parse_output("type=image,push=false"));
}

TEST_CASE("a quoted field may have commas and doubled quotes") {
    CHECK(parse_output("type=oci,\"dest=a,b.tar\"")->destination == "a,b.tar");
    CHECK(parse_output("\"dest=say \"\"hi\"\".tar\",type=oci")->destination == "say \"hi\".tar");
}

TEST_CASE("CSV is cut at commas outside of quotes") {
    CHECK(split_csv("") == Fields{""});
    CHECK(split_csv("a") == Fields{"a"});
    CHECK(split_csv("a,,b,") == Fields{"a", "", "b", ""});
    CHECK(split_csv("\"\",\"a,b\",c") == Fields{"", "a,b", "c"});
    CHECK(split_csv("\"\"\"\"") == Fields{"\""});
}

TEST_CASE("a quote that is not around a whole field is refused") {
    const std::string text = GENERATE("dest=\"a\"", "\"a\"b,c", "\"a\" ,b", "\"a", "a\"");
    INFO(text);
    CHECK_THROWS_AS(split_csv(text), UsageError);
}

TEST_CASE("an output that is not supported is refused with a message that names it") {
    const auto [text, part] = GENERATE(table<std::string, std::string>({
        {"type=docker,dest=a", "type=docker,dest=a"},
        {"type=local,dest=a", "type=local,dest=a"},
        {"out.tar", "'out.tar'"},
        {"", "''"},
        {"dest=a", "dest=a"},
        {"type=oci", "no dest"},
        {"type=oci,dest=", "no dest"},
        {"type=oci,dest=a,compression=zstd", "'compression=zstd'"},
        {"type=oci,dest=a,tar=maybe", "tar=maybe"},
        {"type=oci,dest=a,push=true", "type=oci has no option push"},
        {"type=image,dest=a", "type=image has no option dest"},
        {"type=image,tar=false", "type=image has no option tar"},
        {"type=registry,dest=a", "type=registry has no option dest"},
    }));
    const UsageError error = refusal_of(text);
    INFO(error.message());
    CHECK(error.code() == "usage.bad-output");
    CHECK(error.message().find(part) != std::string::npos);
}

}  // namespace
}  // namespace imgbuild::cli
