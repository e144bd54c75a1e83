#include "cli/outputs.hpp"

#include <imgbuild/error.hpp>

#include "cli/annotations.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <map>
#include <set>

namespace imgbuild::cli {
namespace {

using builder::Output;
using Kind = Output::Kind;

UsageError bad_output(std::string message, std::string hint) {
    return UsageError(
        {.code = "usage.bad-output", .message = std::move(message), .hint = std::move(hint), .where = {}});
}

bool parse_flag(const std::string& key, const std::string& value) {
    // A key alone is docker's way to say yes.
    if (value == "true" || value == "1" || value.empty()) return true;
    if (value == "false" || value == "0") return false;
    throw bad_output(fmt::format("{}={} is neither true nor false", key, value), "");
}

// The fields of one value. What a type has no use for is refused: whoever wrote it expects something to happen.
class Fields {
public:
    Fields(std::string_view text, const Platform& platform) : text_(text), platform_(platform) {
        for (const std::string& field : split_csv(text)) {
            const std::size_t equals = field.find('=');
            const std::string key = field.substr(0, equals);
            const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
            // Keys of annotations are names, and keep their case.
            values_[key.starts_with("annotation") ? key : util::to_lower(key)] = value;
        }
    }

    std::optional<std::string> take(const std::string& key) {
        const auto at = values_.find(key);
        if (at == values_.end()) return std::nullopt;
        std::string value = std::move(at->second);
        values_.erase(at);
        return value;
    }
    bool flag(const std::string& key, bool otherwise) {
        const auto value = take(key);
        return value ? parse_flag(key, *value) : otherwise;
    }
    // An option of which only one value means anything here.
    void require(const std::string& key, bool value, const char* hint) {
        if (flag(key, value) == value) return;
        throw bad_output(fmt::format("--output with {}={} is not supported", key, !value), hint);
    }
    void take_annotations(AnnotationSet& set) {
        std::erase_if(values_, [&](const auto& field) {
            return add_annotation_option(field.first, field.second, platform_, set);
        });
    }

    // Nothing may be left.
    void finish(const std::string& type) {
        for (const auto& field : values_) {
            for (const auto& [key, hint] : kOtherWays) {
                if (field.first == key) {
                    throw bad_output(fmt::format("the option {} of --output is not supported", key), hint);
                }
            }
            throw bad_output(fmt::format("--output type={} has no option {}", type, util::quote(field.first)),
                             "docs/cli/build.md lists them");
        }
    }
    const std::string& text() const { return text_; }

private:
    struct OtherWay {
        const char* key;
        const char* hint;
    };
    static constexpr OtherWay kOtherWays[] = {
        {"registry"
         ".insecure",
         "use --insecure-registry HOST"},  // in two, as it is no code of an error
        {"source-date-epoch", "use --source-date-epoch SECONDS"},
        {"store", "type=cacheonly keeps no image"},
        {"dangling-name-prefix", "name the image with -t"},
        {"danging-name-empty-only", "name the image with -t"},
        {"name-canonical", "push the name that you want, and take the digest from --metadata-file"},
        {"oci-artifact", "images have no attestations yet"},
        {"attestation-inline", "images have no attestations yet"},
        {"attestation-prefix", "images have no attestations yet"},
        {"prefer-nondist-layers", "all layers are distributable"},
        {"compatibility-version", "leave it out"},
    };

    std::string text_;
    const Platform& platform_;
    std::map<std::string, std::string> values_;
};

std::vector<Reference> parse_names(const std::string& text) {
    std::vector<Reference> out;
    for (const std::string& name : split_csv(text)) {
        if (name == "*") {
            throw bad_output("name=* takes the name from the image's base, which is not supported", "name the image");
        }
        out.push_back(Reference::parse(name));
        if (out.back().digest()) {
            throw bad_output(fmt::format("the name {} has a digest, which only the build can know", util::quote(name)),
                             "give a tag only");
        }
    }
    return out;
}

std::optional<layers::Codec> parse_codec(Fields& fields) {
    const auto kind = fields.take("compression");
    const auto level = fields.take("compression-level");
    if (!kind && !level) return std::nullopt;
    layers::Codec out;
    if (kind == "uncompressed") {
        out.kind = layers::Codec::Kind::none;
    } else if (kind == "zstd") {
        out.kind = layers::Codec::Kind::zstd;
    } else if (kind && *kind != "gzip") {
        throw bad_output(fmt::format("the compression {} is not supported", util::quote(*kind)),
                         "gzip, zstd and uncompressed are");
    }
    if (level) {
        const auto number = util::parse_number(*level);
        if (!number || *number == 0 || *number > 100 || out.kind == layers::Codec::Kind::none) {
            throw bad_output(fmt::format("compression-level={} does not go with the compression", *level),
                             "gzip has the levels 1 to 12, zstd 1 to 19");
        }
        out.level = static_cast<int>(*number);
    }
    out.check();
    return out;
}

// What all kinds have that make a manifest.
void take_image_options(Fields& fields, Output& out) {
    if (const auto names = fields.take("name")) out.names = parse_names(*names);
    out.codec = parse_codec(fields);
    if (fields.flag("force-compression", false)) out.recompress = builder::Recompress::yes;
    fields.require("oci-mediatypes", true, "images are written with the media types of OCI");
    fields.require("rewrite-timestamp", true, "times in layers are always bounded (docs/determinism.md)");
    AnnotationSet annotations;
    fields.take_annotations(annotations);
    out.annotations = std::move(annotations.manifest);
    out.descriptor_annotations = std::move(annotations.descriptor);
}

Output image_output(Fields& fields, bool push) {
    Output out{.kind = fields.flag("push", push) ? Kind::registry : Kind::image, .destination = {}};
    take_image_options(fields, out);
    fields.require("unpack", true, "images of the store are always unpacked");
    out.by_digest = fields.flag("push-by-digest", false);
    if (out.kind == Kind::registry) return out;
    const bool for_pushes = out.codec || out.recompress == builder::Recompress::yes || out.by_digest ||
                            !out.annotations.empty() || !out.descriptor_annotations.empty();
    if (for_pushes) {
        throw bad_output(fmt::format("--output {}: compression, annotations and push-by-digest are for images that "
                                     "leave the store",
                                     util::quote(fields.text())),
                         "add push=true, or give them to `-o type=oci,…`");
    }
    return out;
}

std::string require_destination(Fields& fields, const std::string& type, const char* hint) {
    std::string out = fields.take("dest").value_or("");
    if (out.empty()) throw bad_output(fmt::format("--output type={} has no dest", type), hint);
    return out;
}

Output oci_output(Fields& fields) {
    Output out{.kind = fields.flag("tar", true) ? Kind::oci_archive : Kind::oci_layout, .destination = {}};
    out.destination = require_destination(fields, "oci", "add dest=FILE, or dest=- for standard output");
    take_image_options(fields, out);
    return out;
}

Output docker_output(Fields& fields) {
    Output out{.kind = Kind::docker_archive, .destination = {}};
    out.destination = fields.take("dest").value_or("");
    if (out.destination.empty()) {
        throw bad_output("--output type=docker has no dest, and there is no docker daemon to load it into",
                         "add dest=FILE, or dest=- and pipe it: imgbuild -o type=docker,dest=- . | docker load");
    }
    take_image_options(fields, out);
    return out;
}

Output files_output(Fields& fields, const std::string& type) {
    Output out{.kind = type == "tar" ? Kind::tar : Kind::local, .destination = {}};
    out.destination =
        type == "tar" ? fields.take("dest").value_or("-") : require_destination(fields, type, "add dest=DIRECTORY");
    if (out.kind == Kind::local && out.destination == "-") {
        throw bad_output("a directory cannot be written to standard output", "use type=tar,dest=-");
    }
    out.platform_folder = fields.flag("platform-split", false);
    if (out.kind == Kind::tar) return out;
    const std::string mode = fields.take("mode").value_or("copy");
    if (mode != "copy") {
        throw bad_output(fmt::format("mode={} of --output is not supported", mode),
                         "remove the directory before the build");
    }
    return out;
}

}  // namespace

builder::Output parse_output(std::string_view text, const Platform& platform) {
    if (text == "-") return {.kind = Kind::tar, .destination = "-"};
    if (!text.empty() && !text.contains('=') && !text.contains(',')) {
        return {.kind = Kind::local, .destination = std::string(text)};
    }
    Fields fields(text, platform);
    const std::string type = fields.take("type").value_or("");
    Output out;
    if (type == "oci") {
        out = oci_output(fields);
    } else if (type == "docker") {
        out = docker_output(fields);
    } else if (type == "registry" || type == "image") {
        out = image_output(fields, type == "registry");
    } else if (type == "local" || type == "tar") {
        out = files_output(fields, type);
    } else if (type == "cacheonly") {
        out.kind = Kind::cacheonly;
    } else {
        throw bad_output(fmt::format("--output {} is not supported yet", util::quote(text)),
                         "the types are: image, registry, oci, docker, local, tar, cacheonly; or give a directory");
    }
    fields.finish(type);
    return out;
}

void check_outputs(const std::vector<builder::Output>& outputs) {
    std::set<std::string> places;
    for (const Output& output : outputs) {
        if (output.destination.empty() || places.insert(output.destination).second) continue;
        throw bad_output(fmt::format("two outputs go to {}", util::quote(output.destination)), "write to two places");
    }
    if (places.contains("-") && ::isatty(STDOUT_FILENO) == 1) {
        throw bad_output("an archive is not written to a terminal", "redirect standard output, or give dest=FILE");
    }
}

}  // namespace imgbuild::cli
