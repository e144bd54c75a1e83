#include "builder/client/output.hpp"

#include "builder/client/session.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

namespace imgbuild::client {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint) {
    throw UsageError({.code = "usage.bad-output", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

builder::Output::Kind kind_of(Output::Kind kind) {
    switch (kind) {
        case Output::Kind::oci_archive:
            return builder::Output::Kind::oci_archive;
        case Output::Kind::docker_archive:
            return builder::Output::Kind::docker_archive;
        case Output::Kind::oci_layout:
            return builder::Output::Kind::oci_layout;
        case Output::Kind::files:
            return builder::Output::Kind::local;
        case Output::Kind::files_tar:
            return builder::Output::Kind::tar;
        case Output::Kind::registry:
            break;
    }
    return builder::Output::Kind::registry;
}

std::string archive_on_descriptor(const Output& output, Descriptors& descriptors) {
    if (!descriptors.fds.empty()) refuse("two outputs go to descriptors", "give all but one a path");
    descriptors.names.emplace_back("stdout");
    descriptors.fds.push_back(output.descriptor);
    return "-";
}

}  // namespace

builder::Output to_builder(const Output& output, Descriptors& descriptors) {
    builder::Output out;
    out.kind = kind_of(output.kind);
    out.destination = absolute_path(output.path);
    const bool is_directory = output.kind == Output::Kind::oci_layout || output.kind == Output::Kind::files;
    if (output.kind != Output::Kind::registry && !is_directory && output.path.empty() && output.descriptor >= 0) {
        out.destination = archive_on_descriptor(output, descriptors);
    } else if (output.kind != Output::Kind::registry && output.path.empty()) {
        refuse("an output has no path", "name a file or a directory, or for an archive a descriptor");
    }
    return out;
}

layers::Codec to_builder(const Compression& compression) {
    layers::Codec out{.kind = layers::Codec::Kind::gzip, .level = compression.level};
    switch (compression.kind) {
        case Compression::Kind::none:
            out.kind = layers::Codec::Kind::none;
            break;
        case Compression::Kind::gzip:
            break;
        case Compression::Kind::zstd:
            out.kind = layers::Codec::Kind::zstd;
            break;
    }
    return out;
}

void require_no_digest(const Reference& name) {
    if (!name.digest()) return;
    throw UsageError(
        {.code = "usage.bad-reference",
         .message = fmt::format("the name {} has a digest, which only the build can know", util::quote(name.text())),
         .hint = "give a tag only",
         .where = {}});
}

}  // namespace imgbuild::client
