#include "registry/certificates.hpp"

#include <imgbuild/error.hpp>

#include "util/fd.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace imgbuild::registry {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCertificateBytes = 4U << 20;

[[noreturn]] void fail(std::string message, std::string hint) {
    throw RegistryError(
        {.code = "registry.bad-certificates", .message = std::move(message), .hint = std::move(hint), .where = {}}, 0,
        RegistryError::Retry::no);
}

enum class Place { named, usual };

// Whoever may not look into one of the usual places has nothing there.
std::vector<fs::path> files_in(const std::string& directory, Place place) {
    std::vector<fs::path> out;
    std::error_code problem;
    for (fs::directory_iterator at(directory, problem); !problem && at != fs::directory_iterator();
         at.increment(problem)) {
        out.push_back(at->path());
    }
    const bool absent = problem == std::errc::no_such_file_or_directory || problem == std::errc::not_a_directory ||
                        (place == Place::usual && problem == std::errc::permission_denied);
    if (problem && !absent) {
        throw IoError("list", directory, problem.value());
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::string other_half(const fs::path& file, const char* extension) {
    fs::path other = file;
    other.replace_extension(extension);
    if (!fs::exists(other)) {
        fail(fmt::format("{} has no {} beside it", util::quote(file.string()), util::quote(other.filename().string())),
             "a client's certificate is NAME.cert and its key NAME.key; CAs are NAME.crt");
    }
    return other.string();
}

void add_directory(const std::string& directory, Place place, Certificates& out) {
    for (const fs::path& file : files_in(directory, place)) {
        if (file.extension() == ".crt") {
            out.authorities += util::read_file(file.string(), kMaxCertificateBytes) + "\n";
        } else if (file.extension() == ".cert") {
            out.client_key = other_half(file, ".key");
            out.client_certificate = file.string();
        } else if (file.extension() == ".key") {
            static_cast<void>(other_half(file, ".cert"));
        }
    }
}

}  // namespace

CertificateDirectories CertificateDirectories::for_all_hosts(const std::string& directory) {
    if (!fs::is_directory(directory)) {
        fail(fmt::format("--cert-dir {} is no directory", util::quote(directory)),
             "it holds NAME.crt for CAs, NAME.cert and NAME.key for a client's certificate");
    }
    CertificateDirectories out({});
    out.for_all_ = directory;
    return out;
}

std::vector<std::string> CertificateDirectories::usual_places(
    const std::function<std::optional<std::string>(const char*)>& environment) {
    std::vector<std::string> out = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
    std::string config = environment("XDG_CONFIG_HOME").value_or("");
    if (const std::string home = environment("HOME").value_or(""); config.empty() && !home.empty()) {
        config = home + "/.config";
    }
    if (!config.empty()) {
        out.push_back(config + "/containers/certs.d");
        out.push_back(config + "/docker/certs.d");
    }
    return out;
}

Certificates CertificateDirectories::find(const std::string& authority) const {
    Certificates out;
    if (!for_all_.empty()) {
        add_directory(for_all_, Place::named, out);
        out.for_registry_only = true;
    }
    // An authority has no "/", so that it cannot lead out of the parent; "." and ".." are no hosts.
    if (authority.contains('/') || authority.starts_with('.')) return out;
    for (const std::string& parent : parents_)
        add_directory(fmt::format("{}/{}", parent, authority), Place::usual, out);
    return out;
}

}  // namespace imgbuild::registry
