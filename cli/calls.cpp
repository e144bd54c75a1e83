#include "cli/calls.hpp"

#include "cli/exit_code.hpp"
#include "cli/lint_report.hpp"
#include "cli/outline_report.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::cli {
namespace {

[[noreturn]] void reject_call(const std::string& text) {
    throw UsageError({.code = "usage.bad-call",
                      .message = fmt::format("--call {} is not known", util::quote(text)),
                      .hint = "known are build, check, outline and targets, each with ,format=text or ,format=json",
                      .where = {}});
}

int run_outline(const Call& call, const builder::BuildRequest& request, AskFor ask, AppContext& context) {
    const CheckedFile checked = check_build_file(request, ask, context);
    if (const std::vector<Diagnostic> errors = checked.errors(); !errors.empty()) {
        throw ParseError(checked.source, errors);
    }
    print_result(call.format == "json" ? render_outline_json(checked) : render_outline_text(checked));
    return kOk;
}

int run_targets(const Call& call, const builder::BuildRequest& request) {
    const parser::BuildFile file = parser::parse_file(request.file);
    file.require_valid();
    print_result(call.format == "json" ? render_targets_json(file) : render_targets_text(file));
    return kOk;
}

}  // namespace

Call parse_call(const std::string& text) {
    static constexpr std::array<std::pair<std::string_view, Call::Kind>, 5> kKinds = {
        {{"", Call::Kind::build},
         {"build", Call::Kind::build},
         {"check", Call::Kind::check},
         {"outline", Call::Kind::outline},
         {"targets", Call::Kind::targets}}};
    Call call;
    const std::vector<std::string_view> parts = util::split(text, ',');
    const auto* const kind =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& known) { return known.first == parts.front(); });
    if (kind == kKinds.end()) reject_call(text);
    call.kind = kind->second;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        if (!parts[i].starts_with("format=")) reject_call(text);
        call.format = parts[i].substr(std::string_view("format=").size());
        const bool known = call.format == "text" || call.format == "json" ||
                           (call.format == "sarif" && call.kind == Call::Kind::check);
        if (!known) reject_call(text);
    }
    return call;
}

int run_call(const Call& call, const builder::BuildRequest& request, AskFor ask, AppContext& context) {
    switch (call.kind) {
        case Call::Kind::outline:
            return run_outline(call, request, ask, context);
        case Call::Kind::targets:
            return run_targets(call, request);
        case Call::Kind::check:
        case Call::Kind::build:
            break;
    }
    const CheckedFile checked = check_build_file(request, ask, context);
    print_result(render_lint(checked, call.format));
    return lint_exit_code(checked);
}

}  // namespace imgbuild::cli
