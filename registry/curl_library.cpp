#include "registry/curl_library.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>

#include <dlfcn.h>
#include <mutex>

namespace imgbuild::registry {
namespace {

[[noreturn]] void throw_no_library(const std::string& name, std::string_view why) {
    throw RegistryError({.code = "registry.no-http-library",
                         .message = fmt::format("cannot load the HTTP library {}: {}", util::quote(name), why),
                         .hint = "install libcurl 7.88 or newer (Debian: libcurl4); only registries and URLs need it",
                         .where = {}},
                        0, RegistryError::Retry::no);
}

std::string last_problem() {
    const char* const problem = ::dlerror();
    return problem != nullptr ? problem : "unknown reason";
}

template <class Function>
void bind(void* library, const std::string& name, const char* symbol, Function& function) {
    void* const address = ::dlsym(library, symbol);
    if (address == nullptr) throw_no_library(name, last_problem());
    function = reinterpret_cast<Function>(address);
}

}  // namespace

CurlLibrary load_curl(const std::string& name) {
    // RTLD_LOCAL: a host program may have a libcurl of its own.
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw_no_library(name, last_problem());
    CurlLibrary curl{};
    bind(library, name, "curl_global_init", curl.global_init);
    bind(library, name, "curl_easy_init", curl.easy_init);
    bind(library, name, "curl_easy_cleanup", curl.easy_cleanup);
    bind(library, name, "curl_easy_reset", curl.easy_reset);
    bind(library, name, "curl_easy_setopt", curl.easy_setopt);
    bind(library, name, "curl_easy_getinfo", curl.easy_getinfo);
    bind(library, name, "curl_easy_strerror", curl.easy_strerror);
    bind(library, name, "curl_multi_init", curl.multi_init);
    bind(library, name, "curl_multi_cleanup", curl.multi_cleanup);
    bind(library, name, "curl_multi_add_handle", curl.multi_add_handle);
    bind(library, name, "curl_multi_remove_handle", curl.multi_remove_handle);
    bind(library, name, "curl_multi_perform", curl.multi_perform);
    bind(library, name, "curl_multi_poll", curl.multi_poll);
    bind(library, name, "curl_multi_wakeup", curl.multi_wakeup);
    bind(library, name, "curl_multi_info_read", curl.multi_info_read);
    bind(library, name, "curl_multi_strerror", curl.multi_strerror);
    bind(library, name, "curl_slist_append", curl.slist_append);
    bind(library, name, "curl_slist_free_all", curl.slist_free_all);

    // Initialisation counts, but old versions do not count safely when two threads begin at once.
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    const CURLcode code = curl.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) throw_no_library(name, curl.easy_strerror(code));
    return curl;
}

}  // namespace imgbuild::registry
