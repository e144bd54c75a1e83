// How imgbuild says that something went wrong, to people and to programs.
//
// Three kinds of events have three means: something that is simply not there is a std::optional; problems of the
// user's file are Diagnostic values, many at a time; and what keeps us from going on is an exception of the one
// hierarchy below. Every one of them carries a stable `code` such as "parse.unknown-flag", by which programs tell
// them apart; the part before the dot names the area and decides the exit code (cli/exit_code.hpp).
//
// Messages: lower case, no full stop, what failed, on what (quoted), why. The hint says what to try.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild {

/// A stretch of a text file. Lines and columns count from 1, columns in bytes; `end_column` is one past the last
/// byte. A span with line 0 is empty: it points nowhere.
struct Span {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::uint32_t end_line = 0;
    std::uint32_t end_column = 0;

    friend bool operator==(const Span&, const Span&) = default;
    explicit operator bool() const { return line != 0; }
};

/// A text that spans point into: the name as the user gave it, and the bytes as they were read.
struct SourceFile {
    std::string name;
    std::string text;
};

/// A span together with its file, as an error needs it to show the lines. The file may be absent.
struct SourceSpan {
    std::shared_ptr<const SourceFile> file;
    Span span;
};

enum class Severity { error, warning };

/// One problem of a user's file. A value: the parser returns as many as it finds.
struct Diagnostic {
    Severity severity = Severity::error;
    std::string code;
    std::string message;
    std::string hint;
    Span span;

    friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

/// What every error says. `hint` and `where` may be empty.
struct ErrorInfo {
    std::string code;
    std::string message;
    std::string hint;
    std::optional<SourceSpan> where;
};

/// The root of everything that imgbuild throws on purpose. Copyable; carries no resources.
class Error : public std::exception {
public:
    explicit Error(ErrorInfo info);

    const std::string& code() const { return info_.code; }
    const std::string& message() const { return info_.message; }
    const std::string& hint() const { return info_.hint; }
    const std::optional<SourceSpan>& where() const { return info_.where; }
    /// "While doing what", outermost first.
    const std::vector<std::string>& frames() const { return frames_; }
    /// The frames and the message in one line, joined by ": ".
    const char* what() const noexcept override { return what_.c_str(); }

    /// For in_context() only: adds an outer frame.
    void add_frame(std::string frame);
    /// Gives the error a place in the user's file, unless a more precise one is known already.
    void locate(SourceSpan where);

private:
    void compose();

    ErrorInfo info_;
    std::vector<std::string> frames_;
    std::string what_;
};

/// The command line or a request is not usable. Code area: usage.
class UsageError : public Error {
public:
    using Error::Error;
};

/// The build file has errors; all of them, in the order of the file. Code area: parse.
class ParseError : public Error {
public:
    /// Precondition: at least one diagnostic is an error. The first error is the message.
    ParseError(std::shared_ptr<const SourceFile> file, std::vector<Diagnostic> diagnostics);

    const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

private:
    std::vector<Diagnostic> diagnostics_;
};

/// A system call failed. Code area: io; out of space and out of memory are "resources.…".
class IoError : public Error {
public:
    /// `operation` is a verb ("open", "mount overlay on"), `path` what it was tried on (may be empty).
    IoError(const std::string& operation, const std::string& path, int error_number, std::string hint = {});

    int error_number() const { return error_number_; }

private:
    int error_number_;
};

/// Bytes from outside or from the store are not what they were said to be. Code area: corrupt.
class CorruptData : public Error {
public:
    using Error::Error;
    CorruptData(std::string what, std::string expected, std::string actual);
};

/// A registry or the way to it failed. Code area: registry. The message never holds credentials.
class RegistryError : public Error {
public:
    enum class Retry { no, yes };
    /// `status` is the HTTP status, 0 when there was no answer.
    RegistryError(ErrorInfo info, int status, Retry retry);

    int status() const { return status_; }
    Retry retry() const { return retry_; }

private:
    int status_;
    Retry retry_;
};

/// A build step ended with a failure. Code area: build.
class StepFailed : public Error {
public:
    /// `exit_code` is 128 + signal when a signal ended the step. `log_path` is where its whole output lies.
    StepFailed(ErrorInfo info, int exit_code, std::string log_tail, std::string log_path);

    int exit_code() const { return exit_code_; }
    const std::string& log_tail() const { return log_tail_; }
    const std::string& log_path() const { return log_path_; }

private:
    int exit_code_;
    std::string log_tail_;
    std::string log_path_;
};

/// Somebody asked to stop, or something else failed first. Code area: cancelled.
class Cancelled : public Error {
public:
    Cancelled();
};

/// Runs `body`; an Error that leaves it gets `frame` ("pulling 'a/b:c'") as an outer frame and keeps its type.
template <class Body>
decltype(auto) in_context(const auto& frame, Body&& body) {
    try {
        return body();
    } catch (Error& error) {
        if constexpr (requires { std::string(frame()); }) {
            error.add_frame(frame());
        } else {
            error.add_frame(std::string(frame));
        }
        throw;
    }
}

}  // namespace imgbuild
