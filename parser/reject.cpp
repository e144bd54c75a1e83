#include "parser/reject.hpp"

#include "util/text.hpp"

#include <utility>

namespace imgbuild::parser {

void reject(std::string code, std::string message, std::string hint, Span span) {
    ErrorInfo info;
    info.code = std::move(code);
    info.message = std::move(message);
    info.hint = std::move(hint);
    if (span) {
        info.where = SourceSpan{nullptr, span};
    }
    throw Error(std::move(info));
}

Diagnostic to_diagnostic(const Error& error, Span fallback) {
    Diagnostic result;
    result.code = error.code();
    result.message = error.message();
    result.hint = error.hint();
    result.span = error.where() && error.where()->span ? error.where()->span : fallback;
    return result;
}

std::string shown(std::string_view text) {
    const std::string quoted = util::quote(text);
    return quoted.substr(1, quoted.size() - 2);
}

}  // namespace imgbuild::parser
