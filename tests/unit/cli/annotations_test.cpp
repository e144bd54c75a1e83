#include "cli/annotations.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

namespace imgbuild::cli {
namespace {

const Platform kAmd64 = Platform::parse("linux/amd64");

AnnotationSet parsed(std::string_view text) {
    AnnotationSet set;
    add_annotation(text, kAmd64, set);
    return set;
}

TEST_CASE("an annotation is the manifest's unless it says another level") {
    CHECK(parsed("a.b=c=d").manifest == oci::Annotations{{"a.b", "c=d"}});
    CHECK(parsed("manifest:a=").manifest == oci::Annotations{{"a", ""}});
    const AnnotationSet both = parsed("manifest,manifest-descriptor[linux/amd64]:a=b");
    CHECK(both.manifest == both.descriptor);
    CHECK(both.descriptor == oci::Annotations{{"a", "b"}});
}

TEST_CASE("an annotation without a key, of an unknown level, for an index or another platform is refused") {
    const auto text = GENERATE(as<std::string>(), "a", "=b", "manifest:=b", "layer:a=b", "index:a=b",
                               "manifest[linux/arm64]:a=b", "manifest[linux:a=b");
    INFO(text);
    CHECK_THROWS_AS(parsed(text), UsageError);
}

TEST_CASE("options of an output are annotations if they say so") {
    AnnotationSet set;
    CHECK(add_annotation_option("annotation.a.b", "c", kAmd64, set));
    CHECK(add_annotation_option("annotation-manifest-descriptor[linux/amd64].d", "e", kAmd64, set));
    CHECK(!add_annotation_option("dest", "f", kAmd64, set));
    CHECK(set.manifest == oci::Annotations{{"a.b", "c"}});
    CHECK(set.descriptor == oci::Annotations{{"d", "e"}});
    CHECK_THROWS_AS(add_annotation_option("annotation", "c", kAmd64, set), UsageError);
}

}  // namespace
}  // namespace imgbuild::cli
