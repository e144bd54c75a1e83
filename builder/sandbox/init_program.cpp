#include "builder/sandbox/init_program.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <string_view>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

extern "C" {
extern const char imgbuild_init_begin[];
extern const char imgbuild_init_end[];
}

namespace imgbuild::sandbox {

util::Fd open_init_program() {
    constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("imgbuild-init", kFlags | MFD_EXEC);
    // Linux before 6.3 does not know the flag, and makes every memory file executable.
    if (fd < 0 && errno == EINVAL) fd = memfd_create("imgbuild-init", kFlags);
    util::Fd file(util::check(fd, "make memory file", "imgbuild-init"));
    util::write_all(file.get(), std::string_view(imgbuild_init_begin, imgbuild_init_end), "imgbuild-init");
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    util::check(fcntl(file.get(), F_ADD_SEALS, kSeals), "seal", "imgbuild-init");
    return file;
}

}  // namespace imgbuild::sandbox
