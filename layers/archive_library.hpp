// libarchive, which is loaded when something is compressed by bzip2 or xz: it brings ten more libraries, and hardly any
// build needs one of them.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

struct archive;
struct archive_entry;

namespace imgbuild::layers {

/// What we call of it, by the names that it has there less "archive_".
struct ArchiveLibrary {
    archive* (*read_new)();
    int (*read_free)(archive*);
    int (*read_support_filter_bzip2)(archive*);
    int (*read_support_filter_xz)(archive*);
    int (*read_support_format_raw)(archive*);
    int (*read_support_format_empty)(archive*);
    int (*read_open)(archive*, void* self, int (*open)(archive*, void* self),
                     ssize_t (*read)(archive*, void* self, const void** bytes), int (*close)(archive*, void* self));
    int (*read_next_header)(archive*, archive_entry**);
    ssize_t (*read_data)(archive*, void* into, std::size_t size);
    const char* (*error_string)(archive*);
};

/// Throws Error ("source.no-archive-library").
ArchiveLibrary load_archive_library(const std::string& name = "libarchive.so.13");

}  // namespace imgbuild::layers
