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
               field("ignore_file", &builder::BuildRequest::ignore_file),
               field("context", &builder::BuildRequest::context),
               kept(&builder::BuildRequest::context_archive),
               field("context_directories", &builder::BuildRequest::context_directories),
               kept(&builder::BuildRequest::context_archives),
               field("lower", &builder::BuildRequest::lower),
               field("names", &builder::BuildRequest::names),
               field("outputs", &builder::BuildRequest::outputs),
               field("annotations", &builder::BuildRequest::annotations),
               field("descriptor_annotations", &builder::BuildRequest::descriptor_annotations),
               field("squash", &builder::BuildRequest::squash),
               field("cache", &builder::BuildRequest::cache),
               field("uncached_stages", &builder::BuildRequest::uncached_stages),
               field("pull", &builder::BuildRequest::pull),
               field("tag_ttl", &builder::BuildRequest::tag_ttl),
               field("codec", &builder::BuildRequest::codec),
               field("source_date_epoch", &builder::BuildRequest::source_date_epoch),
               field("jobs", &builder::BuildRequest::jobs),
               kept(&builder::BuildRequest::confidants)};

template <>
inline constexpr auto kFields<builder::LowerOptions> =
    std::tuple{field("target", &builder::LowerOptions::target),
               field("build_args", &builder::LowerOptions::build_args),
               field("labels", &builder::LowerOptions::labels),
               field("contexts", &builder::LowerOptions::contexts),
               field("target_platform", &builder::LowerOptions::target_platform),
               field("build_platform", &builder::LowerOptions::build_platform),
               field("run", &builder::LowerOptions::run)};

template <>
inline constexpr auto kFields<builder::RunOptions> = std::tuple{
    field("network", &builder::RunOptions::network), field("allow_insecure", &builder::RunOptions::allow_insecure),
    field("hosts", &builder::RunOptions::hosts), field("ulimits", &builder::RunOptions::ulimits),
    field("shm_size", &builder::RunOptions::shm_size)};

template <>
inline constexpr auto kFields<builder::Ulimit> =
    std::tuple{field("name", &builder::Ulimit::name), field("soft", &builder::Ulimit::soft),
               field("hard", &builder::Ulimit::hard)};

template <>
inline constexpr auto kFields<builder::NamedContext> =
    std::tuple{field("kind", &builder::NamedContext::kind), field("locator", &builder::NamedContext::locator)};

template <>
inline constexpr auto kFields<builder::Output> =
    std::tuple{field("kind", &builder::Output::kind),
               field("destination", &builder::Output::destination),
               field("names", &builder::Output::names),
               field("codec", &builder::Output::codec),
               field("recompress", &builder::Output::recompress),
               field("by_digest", &builder::Output::by_digest),
               field("platform_folder", &builder::Output::platform_folder),
               field("annotations", &builder::Output::annotations),
               field("descriptor_annotations", &builder::Output::descriptor_annotations)};

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
        case docker_archive:
            return "docker-archive";
        case oci_layout:
            return "oci-layout";
        case registry:
            return "registry";
        case image:
            return "image";
        case local:
            return "local";
        case tar:
            return "tar";
        case cacheonly:
            return "cacheonly";
    }
    return {};
}

constexpr std::string_view name_of(builder::Recompress recompress) {
    using enum builder::Recompress;
    switch (recompress) {
        case no:
            return "no";
        case yes:
            return "yes";
    }
    return {};
}

constexpr std::string_view name_of(builder::Squash squash) {
    using enum builder::Squash;
    switch (squash) {
        case no:
            return "no";
        case added:
            return "added";
        case all:
            return "all";
    }
    return {};
}

constexpr std::string_view name_of(builder::Network network) {
    using enum builder::Network;
    switch (network) {
        case host:
            return "host";
        case none:
            return "none";
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
        case never:
            return "never";
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
