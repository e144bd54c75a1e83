// How the builder's request is carried: one line per member.
#pragma once

#include "builder/build.hpp"
#include "builder/worker/fields.hpp"

#include <array>
#include <string_view>
#include <tuple>

namespace imgbuild::worker {

template <>
inline constexpr auto kFields<builder::BuildRequest> =
    std::tuple{field("file", &builder::BuildRequest::file),
               field("file_path", &builder::BuildRequest::file_path),
               field("context", &builder::BuildRequest::context),
               field("context_directories", &builder::BuildRequest::context_directories),
               field("lower", &builder::BuildRequest::lower),
               field("names", &builder::BuildRequest::names),
               field("outputs", &builder::BuildRequest::outputs),
               field("cache", &builder::BuildRequest::cache),
               field("pull", &builder::BuildRequest::pull),
               field("codec", &builder::BuildRequest::codec),
               field("source_date_epoch", &builder::BuildRequest::source_date_epoch),
               field("jobs", &builder::BuildRequest::jobs)};

template <>
inline constexpr auto kFields<builder::LowerOptions> =
    std::tuple{field("target", &builder::LowerOptions::target),
               field("build_args", &builder::LowerOptions::build_args),
               field("labels", &builder::LowerOptions::labels),
               field("contexts", &builder::LowerOptions::contexts),
               field("target_platform", &builder::LowerOptions::target_platform),
               field("build_platform", &builder::LowerOptions::build_platform)};

template <>
inline constexpr auto kFields<builder::NamedContext> =
    std::tuple{field("kind", &builder::NamedContext::kind), field("locator", &builder::NamedContext::locator)};

template <>
inline constexpr auto kFields<builder::Output> =
    std::tuple{field("kind", &builder::Output::kind), field("destination", &builder::Output::destination)};

template <>
inline constexpr auto kFields<layers::Codec> =
    std::tuple{field("kind", &layers::Codec::kind), field("level", &layers::Codec::level)};

template <>
inline constexpr auto kFields<Platform> =
    std::tuple{field("os", &Platform::os), field("architecture", &Platform::architecture),
               field("variant", &Platform::variant), field("os_version", &Platform::os_version)};

template <>
inline constexpr auto kFields<SourceFile> =
    std::tuple{field("name", &SourceFile::name), field("text", &SourceFile::text)};

// Enumerations: the compiler asks for a name of each value; reading tries the values until one has no name.

constexpr std::string_view name_of(builder::Output::Kind kind) {
    using enum builder::Output::Kind;
    switch (kind) {
        case oci_archive:
            return "oci-archive";
        case oci_layout:
            return "oci-layout";
        case registry:
            return "registry";
    }
    return {};
}

constexpr std::string_view name_of(builder::NamedContext::Kind kind) {
    using enum builder::NamedContext::Kind;
    switch (kind) {
        case directory:
            return "directory";
        case image:
            return "image";
    }
    return {};
}

constexpr std::string_view name_of(builder::CacheUse use) {
    using enum builder::CacheUse;
    switch (use) {
        case read_and_write:
            return "read-and-write";
        case write:
            return "write";
    }
    return {};
}

constexpr std::string_view name_of(builder::Pull pull) {
    using enum builder::Pull;
    switch (pull) {
        case missing:
            return "missing";
        case always:
            return "always";
    }
    return {};
}

constexpr std::string_view name_of(layers::Codec::Kind kind) {
    using enum layers::Codec::Kind;
    switch (kind) {
        case none:
            return "none";
        case gzip:
            return "gzip";
        case zstd:
            return "zstd";
    }
    return {};
}

}  // namespace imgbuild::worker
