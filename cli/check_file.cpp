#include "cli/check_file.hpp"

#include "builder/context/open_context.hpp"
#include "builder/frontend/syntax.hpp"
#include "layers/resolved_names.hpp"
#include "util/text.hpp"

#include <unistd.h>
#include <algorithm>

namespace imgbuild::cli {
namespace {

/// Looks into the store and at what registries have said of the name, however long ago. Makes no store where there is
/// none: looking leaves no traces.
std::optional<oci::ImageConfig> find_in_store(const std::string& name, const Platform& platform, AppContext& context) {
    try {
        if (!context.has_store()) {
            return std::nullopt;
        }
        const std::string text = Reference::parse(name).text();
        if (const std::optional<layers::ImageRecord> record = context.store().find_image(text)) {
            oci::ImageConfig config = oci::parse_image_config(record->config);
            if (satisfies(config.platform, platform)) {
                return config;
            }
        }
        const auto known = layers::ResolvedNames(context.store().root()).find(text, platform.text());
        return known ? std::optional(oci::parse_image_config(known->config)) : std::nullopt;
    } catch (const Error&) {
        // A store that cannot be opened here (it is somebody else's, or there is no place for one) knows no image; the
        // survey lists what was not known.
        return std::nullopt;
    }
}

std::optional<oci::ImageConfig> resolve(builder::Images& images, const std::string& name, const Platform& platform) {
    try {
        return images.resolve(name, platform).config;
    } catch (const Cancelled&) {
        throw;
    } catch (const Error&) {
        // Whoever builds will be told. A check can do without, and says what it could not look at.
        return std::nullopt;
    }
}

}  // namespace

std::vector<Diagnostic> CheckedFile::errors() const {
    std::vector<Diagnostic> result;
    std::copy_if(file.diagnostics.begin(), file.diagnostics.end(), std::back_inserter(result),
                 [](const Diagnostic& d) { return d.severity == Severity::error; });
    if (survey.error) {
        result.push_back(*survey.error);
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const Diagnostic& a, const Diagnostic& b) { return a.span.line < b.span.line; });
    return result;
}

CheckedFile check_build_file(const builder::BuildRequest& request, AskFor ask, AppContext& context) {
    CheckedFile result{request.file, parser::parse_file(request.file), {}};
    const parser::IgnoreMatcher ignore =
        builder::load_ignore_rules(request.context, {.build_file = request.file_path, .given = request.ignore_file});
    std::unique_ptr<builder::Images> images;
    builder::SurveyOptions options;
    options.build = request.lower;
    options.ignore = &ignore;
    options.image = [&](const std::string& name, const Platform& platform) -> std::optional<oci::ImageConfig> {
        const bool is_layout = name.starts_with("oci-layout://");
        if (ask == AskFor::local_images && !is_layout) {
            return find_in_store(name, platform, context);
        }
        if (!images) {
            images = std::make_unique<builder::Images>(
                context.store(), context.registry(),
                builder::ImagesOptions{.pull = request.pull, .tag_ttl = request.tag_ttl}, context.stop());
        }
        return resolve(*images, name, platform);
    };
    result.survey = builder::survey(result.file, options);
    if (auto foreign = builder::find_foreign_frontend(result.file, request.lower)) {
        result.file.diagnostics.push_back(std::move(*foreign));
    }
    return result;
}

}  // namespace imgbuild::cli
