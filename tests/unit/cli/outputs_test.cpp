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

TEST_CASE("an archive, a layout, a registry, the store, files and nothing are the outputs") {
    const auto [text, kind, destination] = GENERATE(table<std::string, Kind, std::string>({
        {"type=oci,dest=a.tar", Kind::oci_archive, "a.tar"},
        {"type=oci,dest=-", Kind::oci_archive, "-"},
        {"type=oci,tar=false,dest=dir", Kind::oci_layout, "dir"},
        {"type=docker,dest=a.tar", Kind::docker_archive, "a.tar"},
        {"type=registry", Kind::registry, ""},
        {"type=image,push=true", Kind::registry, ""},
        {"type=image", Kind::image, ""},
        {"type=image,push=false", Kind::image, ""},
        {"type=local,dest=dir", Kind::local, "dir"},
        {"out", Kind::local, "out"},
        {"type=tar,dest=a.tar", Kind::tar, "a.tar"},
        {"type=tar", Kind::tar, "-"},
        {"-", Kind::tar, "-"},
        {"type=cacheonly", Kind::cacheonly, ""},
    }));
    INFO(text);
    CHECK(parse_output(text).kind == kind);
    CHECK(parse_output(text).destination == destination);
}

TEST_CASE("a quoted field may have commas and doubled quotes") {
    CHECK(parse_output("type=oci,\"dest=a,b.tar\"").destination == "a,b.tar");
    CHECK(parse_output("\"dest=say \"\"hi\"\".tar\",type=oci").destination == "say \"hi\".tar");
}

TEST_CASE("an output has its own names, compression and annotations") {
    const builder::Output output = parse_output(
        "type=registry,\"name=a:1,b:2\",compression=zstd,compression-level=7,force-compression=true,"
        "annotation.Some.Key=v,annotation-manifest-descriptor.k=w,push-by-digest=true");
    REQUIRE(output.names.size() == 2);
    CHECK(output.names.at(1).familiar() == "b:2");
    CHECK(output.codec == layers::Codec{.kind = layers::Codec::Kind::zstd, .level = 7});
    CHECK(output.recompress == builder::Recompress::yes);
    CHECK(output.annotations == oci::Annotations{{"Some.Key", "v"}});
    CHECK(output.descriptor_annotations == oci::Annotations{{"k", "w"}});
    CHECK(output.by_digest);
}

TEST_CASE("without a word about compression an output has that of the build") {
    CHECK(!parse_output("type=registry").codec.has_value());
    CHECK(parse_output("type=registry,compression-level=9").codec ==
          layers::Codec{.kind = layers::Codec::Kind::gzip, .level = 9});
    CHECK(parse_output("type=oci,dest=a,compression=uncompressed").codec ==
          layers::Codec{.kind = layers::Codec::Kind::none});
}

TEST_CASE("two outputs to one place are refused") {
    CHECK_THROWS_AS(check_outputs({parse_output("out"), parse_output("type=oci,dest=out")}), UsageError);
    CHECK_NOTHROW(check_outputs({parse_output("out"), parse_output("type=image"), parse_output("type=registry")}));
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
        {"type=docker", "no dest"},
        {"type=docker,dest=a,tar=false", "tar"},
        {"", "''"},
        {"dest=a", "dest=a"},
        {"type=oci", "no dest"},
        {"type=oci,dest=", "no dest"},
        {"type=local", "no dest"},
        {"type=local,dest=-", "standard output"},
        {"type=local,dest=a,mode=delete", "mode=delete"},
        {"type=oci,dest=a,compression=estargz", "'estargz'"},
        {"type=oci,dest=a,compression-level=0", "compression-level=0"},
        {"type=oci,dest=a,compression=uncompressed,compression-level=3", "compression-level=3"},
        {"type=oci,dest=a,tar=maybe", "tar=maybe"},
        {"type=oci,dest=a,oci-mediatypes=false", "oci-mediatypes=false"},
        {"type=oci,dest=a,push=true", "type=oci has no option 'push'"},
        {"type=image,dest=a", "type=image has no option 'dest'"},
        {"type=image,tar=false", "type=image has no option 'tar'"},
        {"type=image,compression=zstd", "leave the store"},
        {"type=registry,dest=a", "type=registry has no option 'dest'"},
        {"type=registry,registry.insecure=true", "registry.insecure"},
        {"type=cacheonly,dest=a", "type=cacheonly has no option 'dest'"},
    }));
    const UsageError error = refusal_of(text);
    INFO(error.message());
    CHECK(error.code() == "usage.bad-output");
    CHECK(error.message().find(part) != std::string::npos);
}

}  // namespace
}  // namespace imgbuild::cli
