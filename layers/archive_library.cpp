#include "layers/archive_library.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <archive.h>
#include <fmt/format.h>

#include <dlfcn.h>
#include <concepts>

namespace imgbuild::layers {
namespace {

[[noreturn]] void throw_no_library(const std::string& name) {
    const char* const problem = ::dlerror();
    throw Error({.code = "source.no-archive-library",
                 .message = fmt::format("cannot load {}: {}", util::quote(name),
                                        problem != nullptr ? problem : "unknown reason"),
                 .hint = "install libarchive 3.6 or newer (Debian: libarchive13); only bzip2 and xz need it",
                 .where = {}});
}

// `Real` is the type that the library's own header says.
template <class Real>
void bind(void* library, const std::string& name, const char* symbol, std::same_as<Real> auto& function) {
    void* const address = ::dlsym(library, symbol);
    if (address == nullptr) throw_no_library(name);
    function = reinterpret_cast<Real>(address);
}

}  // namespace

ArchiveLibrary load_archive_library(const std::string& name) {
    // RTLD_LOCAL: a host program may have one of its own. Never closed, so that the functions stay.
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw_no_library(name);
    ArchiveLibrary out{};
    bind<decltype(&archive_read_new)>(library, name, "archive_read_new", out.read_new);
    bind<decltype(&archive_read_free)>(library, name, "archive_read_free", out.read_free);
    bind<decltype(&archive_read_support_filter_bzip2)>(library, name, "archive_read_support_filter_bzip2",
                                                       out.read_support_filter_bzip2);
    bind<decltype(&archive_read_support_filter_xz)>(library, name, "archive_read_support_filter_xz",
                                                    out.read_support_filter_xz);
    bind<decltype(&archive_read_support_format_raw)>(library, name, "archive_read_support_format_raw",
                                                     out.read_support_format_raw);
    bind<decltype(&archive_read_support_format_empty)>(library, name, "archive_read_support_format_empty",
                                                       out.read_support_format_empty);
    bind<decltype(&archive_read_open)>(library, name, "archive_read_open", out.read_open);
    bind<decltype(&archive_read_next_header)>(library, name, "archive_read_next_header", out.read_next_header);
    bind<decltype(&archive_read_data)>(library, name, "archive_read_data", out.read_data);
    bind<decltype(&archive_error_string)>(library, name, "archive_error_string", out.error_string);
    return out;
}

}  // namespace imgbuild::layers
