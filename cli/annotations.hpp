// --annotation and the annotation keys of --output: notes on a manifest, or on the descriptor that leads to it.
#pragma once

#include <imgbuild/platform.hpp>

#include "oci/descriptor.hpp"

#include <string>
#include <string_view>

namespace imgbuild::cli {

struct AnnotationSet {
    oci::Annotations manifest = {};
    oci::Annotations descriptor = {};
};

/// "[LEVEL,LEVEL[OS/ARCH]:]KEY=VALUE" of --annotation. Levels are manifest (the default) and manifest-descriptor; an
/// image of one platform has no index to annotate. Throws UsageError ("usage.bad-annotation").
void add_annotation(std::string_view text, const Platform& platform, AnnotationSet& set);

/// A key of --output: "annotation.KEY", "annotation-manifest-descriptor[OS/ARCH].KEY" … Returns whether it is one.
bool add_annotation_option(std::string_view option, const std::string& value, const Platform& platform,
                           AnnotationSet& set);

}  // namespace imgbuild::cli
