#include "builder/worker/translate.hpp"

#include "util/overloaded.hpp"

#include <algorithm>
#include <new>

namespace imgbuild::worker {
namespace {

std::optional<FileOnWire> to_wire(const std::shared_ptr<const SourceFile>& file, const KnownFile& known) {
    if (!file) return std::nullopt;
    // A build file may be large, and warnings are many.
    if (file == known) return FileOnWire{.name = file->name, .text = std::nullopt};
    return FileOnWire{.name = file->name, .text = file->text};
}

std::shared_ptr<const SourceFile> from_wire(const std::optional<FileOnWire>& file, const KnownFile& known) {
    if (!file) return nullptr;
    if (!file->text) return known;
    return std::make_shared<const SourceFile>(SourceFile{.name = file->name, .text = *file->text});
}

Failure common_part(const Error& error, const KnownFile& known) {
    Failure out;
    out.code = error.code();
    out.message = error.message();
    out.hint = error.hint();
    out.frames = error.frames();
    if (const auto& where = error.where()) {
        out.where = Failure::Place{.file = to_wire(where->file, known), .span = where->span};
    }
    return out;
}

void add_parts_of_type(const Error& error, Failure& out) {
    using Kind = Failure::Kind;
    if (const auto* parse = dynamic_cast<const ParseError*>(&error)) {
        out.kind = Kind::parse;
        out.diagnostics = parse->diagnostics();
    } else if (const auto* io = dynamic_cast<const IoError*>(&error)) {
        out.kind = Kind::io;
        out.error_number = io->error_number();
    } else if (const auto* registry = dynamic_cast<const RegistryError*>(&error)) {
        out.kind = Kind::registry;
        out.status = registry->status();
        out.retry = registry->retry() == RegistryError::Retry::yes;
    } else if (const auto* step = dynamic_cast<const StepFailed*>(&error)) {
        out.kind = Kind::step_failed;
        out.exit_code = step->exit_code();
        out.log_tail = step->log_tail();
        out.log_path = step->log_path();
    } else if (dynamic_cast<const UsageError*>(&error) != nullptr) {
        out.kind = Kind::usage;
    } else if (dynamic_cast<const CorruptData*>(&error) != nullptr) {
        out.kind = Kind::corrupt;
    } else if (dynamic_cast<const Cancelled*>(&error) != nullptr) {
        out.kind = Kind::cancelled;
    }
}

ErrorInfo info_of(const Failure& failure, const KnownFile& known) {
    ErrorInfo out{.code = failure.code, .message = failure.message, .hint = failure.hint, .where = {}};
    if (failure.where) {
        out.where = SourceSpan{.file = from_wire(failure.where->file, known), .span = failure.where->span};
    }
    return out;
}

// An IoError makes its message of its operation; this one has got its message where it happened.
IoError io_error(const Failure& failure, const KnownFile& known) {
    IoError out("", "", failure.error_number);
    static_cast<Error&>(out) = Error(info_of(failure, known));
    return out;
}

template <class Type>
[[noreturn]] void throw_framed(Type error, const std::vector<std::string>& frames) {
    std::for_each(frames.rbegin(), frames.rend(), [&](const std::string& frame) { error.add_frame(frame); });
    throw Type(std::move(error));
}

[[noreturn]] void rethrow_parse(const Failure& failure, const KnownFile& known) {
    const bool has_error = std::any_of(failure.diagnostics.begin(), failure.diagnostics.end(),
                                       [](const Diagnostic& d) { return d.severity == Severity::error; });
    if (!has_error) throw_framed(Error(info_of(failure, known)), failure.frames);
    throw_framed(ParseError(failure.where ? from_wire(failure.where->file, known) : nullptr, failure.diagnostics),
                 failure.frames);
}

}  // namespace

Failure to_failure(std::exception_ptr exception, const KnownFile& known) {
    try {
        std::rethrow_exception(std::move(exception));
    } catch (const Error& error) {
        Failure out = common_part(error, known);
        add_parts_of_type(error, out);
        return out;
    } catch (const std::bad_alloc&) {
        return {.code = "resources.memory", .message = "out of memory"};
    } catch (const std::exception& error) {
        return {.code = "internal.unexpected",
                .message = error.what(),
                .hint = "this is a bug of imgbuild; please report it"};
    }
}

void rethrow(const Failure& failure, const KnownFile& known) {
    using Kind = Failure::Kind;
    switch (failure.kind) {
        case Kind::usage:
            throw_framed(UsageError(info_of(failure, known)), failure.frames);
        case Kind::parse:
            rethrow_parse(failure, known);
        case Kind::io:
            throw_framed(io_error(failure, known), failure.frames);
        case Kind::corrupt:
            throw_framed(CorruptData(info_of(failure, known)), failure.frames);
        case Kind::registry:
            throw_framed(RegistryError(info_of(failure, known), failure.status,
                                       failure.retry ? RegistryError::Retry::yes : RegistryError::Retry::no),
                         failure.frames);
        case Kind::step_failed:
            throw_framed(StepFailed(info_of(failure, known), failure.exit_code, failure.log_tail, failure.log_path),
                         failure.frames);
        case Kind::cancelled:
            throw_framed(Cancelled(), failure.frames);
        case Kind::error:
            break;
    }
    throw_framed(Error(info_of(failure, known)), failure.frames);
}

WireEvent to_wire(const Event& event, const KnownFile& known) {
    return std::visit(util::overloaded{
                          [](const event::StepOutput& e) -> WireEvent {
                              return OutputEvent{
                                  .number = e.number, .is_stderr = e.is_stderr, .text = std::string(e.text)};
                          },
                          [&](const event::Warning& e) -> WireEvent {
                              return WarningEvent{.diagnostic = e.diagnostic, .file = to_wire(e.file, known)};
                          },
                          [](const auto& e) -> WireEvent { return e; },
                      },
                      event);
}

Event from_wire(const WireEvent& event, const KnownFile& known) {
    return std::visit(util::overloaded{
                          [](const OutputEvent& e) -> Event {
                              return event::StepOutput{.number = e.number, .is_stderr = e.is_stderr, .text = e.text};
                          },
                          [&](const WarningEvent& e) -> Event {
                              return event::Warning{.diagnostic = e.diagnostic, .file = from_wire(e.file, known)};
                          },
                          [](const auto& e) -> Event { return e; },
                      },
                      event);
}

}  // namespace imgbuild::worker
