#include "cli/print_error.hpp"
#include "util/text.hpp"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using nlohmann::json;

constexpr int kSchema = 1;

json span_json(const SourceFile* file, const Span& span) {
    json out = {
        {"line", span.line}, {"column", span.column}, {"end_line", span.end_line}, {"end_column", span.end_column}};
    if (file != nullptr) out["file"] = file->name;
    return out;
}

json diagnostics_json(const ParseError& error) {
    const SourceFile* file = error.where() ? error.where()->file.get() : nullptr;
    json out = json::array();
    for (const Diagnostic& diagnostic : error.diagnostics()) {
        json one = {{"severity", diagnostic.severity == Severity::error ? "error" : "warning"},
                    {"code", diagnostic.code},
                    {"message", diagnostic.message}};
        if (!diagnostic.hint.empty()) one["hint"] = diagnostic.hint;
        if (diagnostic.span) one["where"] = span_json(file, diagnostic.span);
        out.push_back(std::move(one));
    }
    return out;
}

json step_json(const StepFailed& error) {
    json out = {{"exit_code", error.exit_code()}};
    if (!error.log_tail().empty()) out["output"] = error.log_tail();
    if (!error.log_path().empty()) out["log"] = error.log_path();
    return out;
}

}  // namespace

std::string render_error_json(const Error& error, int exit_code) {
    json out = {{"v", kSchema}, {"code", error.code()}, {"message", error.message()}, {"exit_code", exit_code}};
    if (!error.hint().empty()) out["hint"] = error.hint();
    if (!error.frames().empty()) out["while"] = error.frames();
    if (error.where() && error.where()->span) out["where"] = span_json(error.where()->file.get(), error.where()->span);
    if (const auto* parse = dynamic_cast<const ParseError*>(&error)) out["diagnostics"] = diagnostics_json(*parse);
    if (const auto* failed = dynamic_cast<const StepFailed*>(&error)) out["step"] = step_json(*failed);
    if (const auto* refused = dynamic_cast<const RegistryError*>(&error);
        refused != nullptr && refused->status() != 0) {
        out["http_status"] = refused->status();
    }
    return json{{"error", std::move(out)}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace imgbuild::cli
