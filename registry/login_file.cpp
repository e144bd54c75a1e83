#include "registry/login_file.hpp"

#include <imgbuild/error.hpp>

#include "registry/auth_file.hpp"
#include "registry/base64.hpp"
#include "registry/credential_helper.hpp"
#include "util/fd.hpp"
#include "util/files.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <cerrno>
#include <filesystem>
#include <vector>

namespace imgbuild::registry {
namespace {

using nlohmann::ordered_json;

constexpr mode_t kPrivate = 0600;

std::string file_key(const std::string& domain) {
    return domain == "docker.io" ? std::string(kDockerHubKey) : domain;
}

// One file, read once under its lock and written back.
class LoginFile {
public:
    explicit LoginFile(const std::string& path) : path_(real(path)), lock_(lock_folder(path_)) {
        std::string text = "{}";
        try {
            text = util::read_file(path_, kMaxAuthFileBytes);
        } catch (const IoError& error) {
            if (error.error_number() != ENOENT) throw;
        }
        if (util::trim(text).empty()) text = "{}";
        // Read as we would for a pull, so that nothing broken is carried on.
        parsed_ = parse_auth_file(text, util::quote(path_));
        // Once more as it stands, in its order: it is the user's file.
        json_ = ordered_json::parse(text);
    }

    const AuthFile& parsed() const { return parsed_; }
    ordered_json& auths() { return json_["auths"]; }

    /// The helper that is in charge of `domain`; empty for the file itself.
    std::string helper(const std::string& domain) const {
        const AuthFile::Helper* own = find_longest(parsed_.helpers, domain, "");
        return own != nullptr ? own->name : parsed_.store;
    }

    /// What that helper knows `domain` by: the file's own spelling, since that is what it is asked for later.
    std::string helper_key(const std::string& domain) const {
        const AuthFile::Helper* own = find_longest(parsed_.helpers, domain, "");
        return own != nullptr ? own->key : file_key(domain);
    }

    /// The keys under which the file has `domain`.
    std::vector<std::string> keys_of(const std::string& domain) const {
        std::vector<std::string> out;
        const auto auths = json_.find("auths");
        if (auths == json_.end() || !auths->is_object()) return out;
        for (const auto& [key, value] : auths->items()) {
            if (normal_auth_key(key) == domain) out.push_back(key);
        }
        return out;
    }

    void save() {
        util::AtomicFile file(path_, kPrivate);
        file.write(json_.dump(1, '\t') + "\n");
        file.commit();
    }

private:
    // Somebody's config may be a link into a repository of dot files; the file behind it is changed.
    static std::string real(const std::string& path) {
        std::error_code problem;
        const std::filesystem::path resolved = std::filesystem::weakly_canonical(path, problem);
        return problem ? path : resolved.string();
    }

    // The directory is the lock, so that no file of ours stays in it.
    static util::Fd lock_folder(const std::string& path) {
        std::string folder = std::filesystem::path(path).parent_path().string();
        if (folder.empty()) folder = ".";
        util::make_directories(folder);
        util::Fd fd = util::open_path(folder, O_RDONLY | O_DIRECTORY);
        int result;
        do {
            result = ::flock(fd.get(), LOCK_EX);
        } while (result < 0 && errno == EINTR);
        util::check(result, "lock", folder);
        return fd;
    }

    std::string path_;
    util::Fd lock_;
    AuthFile parsed_;
    ordered_json json_;
};

}  // namespace

std::string remember_login(const std::string& path, const std::string& domain, const Credentials& credentials,
                           const std::stop_token& stop) {
    LoginFile file(path);
    const std::string helper = file.helper(domain);
    const std::string key = file_key(domain);
    for (const std::string& old : file.keys_of(domain)) file.auths().erase(old);
    if (!helper.empty()) {
        store_in_credential_helper(helper, file.helper_key(domain), credentials, stop);
        file.auths()[key] = ordered_json::object();
        file.save();
        return "credential helper " + util::quote(helper);
    }
    file.auths()[key] = {{"auth", base64_encode(credentials.username + ":" + credentials.password)}};
    file.save();
    return util::quote(path);
}

bool forget_login(const std::string& path, const std::string& domain, const std::stop_token& stop) {
    LoginFile file(path);
    const std::string helper = file.helper(domain);
    bool found = false;
    if (!helper.empty()) {
        const std::string key = file.helper_key(domain);
        found = ask_credential_helper(helper, key, stop).has_value();
        if (found) erase_from_credential_helper(helper, key, stop);
    }
    const std::vector<std::string> keys = file.keys_of(domain);
    for (const std::string& key : keys) file.auths().erase(key);
    if (!keys.empty()) file.save();
    return found || !keys.empty();
}

}  // namespace imgbuild::registry
