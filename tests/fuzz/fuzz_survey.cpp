// The checks of a build file, and their fixes: what is found points into the text, and a file without errors has none
// after it was mended.
#include "tests/fuzz/fuzz.hpp"

#include "builder/lint/survey.hpp"
#include "util/assert.hpp"

#include <memory>
#include <string>

namespace {

using namespace imgbuild;

parser::BuildFile read(std::string text) {
    return parser::parse_file(std::make_shared<const SourceFile>(SourceFile{"Buildfile", std::move(text)}));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const parser::BuildFile file = read(std::string(fuzz::text_of(data, size)));
    builder::SurveyOptions options;
    options.build.target_platform.architecture = "amd64";
    options.build.build_platform.architecture = "amd64";
    fuzz::attempt([&] {
        const builder::Survey found = builder::survey(file, options);
        const std::string mended = builder::apply_fixes(file.source->text, found.findings);
        IMGBUILD_ASSERT(file.has_errors() || !read(mended).has_errors());
    });
    return 0;
}
