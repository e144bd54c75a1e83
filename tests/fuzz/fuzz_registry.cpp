// What registries, files of credentials, and archives of images say, and what we are told to follow.
#include "tests/fuzz/fuzz.hpp"

#include "registry/auth_file.hpp"
#include "registry/challenge.hpp"
#include "registry/docker_archive.hpp"
#include "registry/url.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"

#include <filesystem>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imgbuild;
    const auto text = fuzz::text_of(data, size);
    static_cast<void>(registry::parse_challenges(text));
    fuzz::attempt([&] { registry::parse_auth_file(text, "'file'"); });
    fuzz::attempt([&] { registry::parse_old_auth_file(text, "'file'"); });
    fuzz::attempt([&] { registry::resolve_url(registry::parse_url("https://a.example/b/c?d"), text); });
    static const util::TempDir folder(std::filesystem::temp_directory_path().string(), "imgbuild-fuzz-");
    const std::string path = folder.path() + "/archive";
    {
        util::AtomicFile file(path);
        file.write(text);
        file.commit();
    }
    fuzz::attempt([&] { registry::DockerArchive(path).resolve("", Platform::host(), {}); });
    return 0;
}
