// Makes the N-th call of a process that changes files below a directory fail. For LD_PRELOAD; tests/e2e/lib/battered.py
// compiles and uses it.
//
//   FAULT_UNDER   absolute path of the directory
//   FAULT_COUNTER a file of 8 bytes: how many such calls there were, in all threads together
//   FAULT_AT      the call that fails, from 1; 0: none, only counted
//   FAULT_ERRNO   what it fails with
//   FAULT_LASTS   1: all calls after it fail as well, as on a disk that stays full
//
// Only calls that need space count: those that write, lengthen, or make a name. Calls that the C library makes itself
// do not come through here, nor does what a step does.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char* under;
static unsigned long* counter;
static unsigned long fail_at;
static int fail_with;
static int lasts;

__attribute__((constructor)) static void begin(void) {
    const char* name = getenv("FAULT_COUNTER");
    const char* at = getenv("FAULT_AT");
    const char* number = getenv("FAULT_ERRNO");
    if (name == NULL || at == NULL || number == NULL) return;
    const int fd = open(name, O_RDWR | O_CLOEXEC);
    void* shared = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) abort();
    close(fd);
    fail_at = strtoul(at, NULL, 10);
    fail_with = atoi(number);
    lasts = getenv("FAULT_LASTS") != NULL && strcmp(getenv("FAULT_LASTS"), "1") == 0;
    counter = shared;
    under = getenv("FAULT_UNDER");
}

static int lies_under(const char* path) {
    if (under == NULL) return 0;
    const size_t length = strlen(under);
    return strncmp(path, under, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int descriptor_counts(int fd) {
    char link[64];
    char path[PATH_MAX + 1];
    if (under == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = '\0';
    return lies_under(path);
}

// A relative path counts as its directory does; "/proc/self/fd/7/x" as descriptor 7 does.
static int path_counts(int directory, const char* path) {
    int fd;
    if (path == NULL) return 0;
    if (sscanf(path, "/proc/self/fd/%d", &fd) == 1) return descriptor_counts(fd);
    if (path[0] == '/') return lies_under(path);
    return directory != AT_FDCWD && descriptor_counts(directory);
}

// Whether this call is to fail; errno is set then.
static int fails(int counts) {
    if (!counts) return 0;
    const unsigned long now = __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
    if (fail_at == 0 || (lasts ? now < fail_at : now != fail_at)) return 0;
    errno = fail_with;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define SHIM(counts, call)            \
    do {                              \
        const int before = errno;     \
        if (fails(counts)) return -1; \
        errno = before;               \
        return call;                  \
    } while (0)

ssize_t write(int fd, const void* bytes, size_t size) {
    SHIM(descriptor_counts(fd), REAL(write)(fd, bytes, size));
}
ssize_t writev(int fd, const struct iovec* parts, int count) {
    SHIM(descriptor_counts(fd), REAL(writev)(fd, parts, count));
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
    SHIM(descriptor_counts(fd), REAL(pwrite)(fd, bytes, size, at));
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
    SHIM(descriptor_counts(fd), REAL(pwrite64)(fd, bytes, size, at));
}
int ftruncate(int fd, off_t size) {
    SHIM(descriptor_counts(fd), REAL(ftruncate)(fd, size));
}
int ftruncate64(int fd, off64_t size) {
    SHIM(descriptor_counts(fd), REAL(ftruncate64)(fd, size));
}
int fallocate(int fd, int mode, off_t at, off_t size) {
    SHIM(descriptor_counts(fd), REAL(fallocate)(fd, mode, at, size));
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    SHIM(descriptor_counts(fd), REAL(fallocate64)(fd, mode, at, size));
}
ssize_t copy_file_range(int from, off64_t* at, int to, off64_t* to_at, size_t size, unsigned flags) {
    SHIM(descriptor_counts(to), REAL(copy_file_range)(from, at, to, to_at, size, flags));
}
int mkdir(const char* path, mode_t mode) {
    SHIM(path_counts(AT_FDCWD, path), REAL(mkdir)(path, mode));
}
int mkdirat(int directory, const char* path, mode_t mode) {
    SHIM(path_counts(directory, path), REAL(mkdirat)(directory, path, mode));
}
int rename(const char* from, const char* to) {
    SHIM(path_counts(AT_FDCWD, to), REAL(rename)(from, to));
}
int renameat(int a, const char* from, int b, const char* to) {
    SHIM(path_counts(b, to), REAL(renameat)(a, from, b, to));
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) {
    SHIM(path_counts(b, to), REAL(renameat2)(a, from, b, to, flags));
}
int linkat(int a, const char* from, int b, const char* to, int flags) {
    SHIM(path_counts(b, to), REAL(linkat)(a, from, b, to, flags));
}
int symlinkat(const char* text, int directory, const char* path) {
    SHIM(path_counts(directory, path), REAL(symlinkat)(text, directory, path));
}
int mknodat(int directory, const char* path, mode_t mode, dev_t device) {
    SHIM(path_counts(directory, path), REAL(mknodat)(directory, path, mode, device));
}
int fsetxattr(int fd, const char* name, const void* value, size_t size, int flags) {
    SHIM(descriptor_counts(fd), REAL(fsetxattr)(fd, name, value, size, flags));
}
int lsetxattr(const char* path, const char* name, const void* value, size_t size, int flags) {
    SHIM(path_counts(AT_FDCWD, path), REAL(lsetxattr)(path, name, value, size, flags));
}
int setxattr(const char* path, const char* name, const void* value, size_t size, int flags) {
    SHIM(path_counts(AT_FDCWD, path), REAL(setxattr)(path, name, value, size, flags));
}

#define OPEN(directory, call)                                               \
    do {                                                                    \
        mode_t mode = 0;                                                    \
        if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                         \
            va_list rest;                                                   \
            va_start(rest, flags);                                          \
            mode = va_arg(rest, mode_t);                                    \
            va_end(rest);                                                   \
        }                                                                   \
        SHIM((flags & O_CREAT) != 0 && path_counts(directory, path), call); \
    } while (0)

int open(const char* path, int flags, ...) {
    OPEN(AT_FDCWD, REAL(open)(path, flags, mode));
}
int open64(const char* path, int flags, ...) {
    OPEN(AT_FDCWD, REAL(open64)(path, flags, mode));
}
int openat(int directory, const char* path, int flags, ...) {
    OPEN(directory, REAL(openat)(directory, path, flags, mode));
}
int openat64(int directory, const char* path, int flags, ...) {
    OPEN(directory, REAL(openat64)(directory, path, flags, mode));
}

// openat2 has no function of its own in the C library.
long syscall(long number, ...) {
    long words[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; ++i) words[i] = va_arg(rest, long);
    va_end(rest);
    int counts = 0;
    if (number == SYS_openat2) {
        const struct open_how* how = (const struct open_how*)words[2];
        counts = (how->flags & O_CREAT) != 0 && path_counts((int)words[0], (const char*)words[1]);
    }
    SHIM(counts, REAL(syscall)(number, words[0], words[1], words[2], words[3], words[4], words[5]));
}
