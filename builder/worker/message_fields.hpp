// How messages are carried: one line per member, one name per alternative.
#pragma once

#include "builder/worker/fields.hpp"
#include "builder/worker/messages.hpp"
#include "builder/worker/request_fields.hpp"

#include <array>
#include <string_view>
#include <tuple>

namespace imgbuild::worker {

template <>
inline constexpr auto kFields<Hello> =
    std::tuple{field("protocol", &Hello::protocol), field("version", &Hello::version)};
template <>
inline constexpr auto kFields<ListImages> = std::tuple{};
template <>
inline constexpr auto kFields<InspectImage> = std::tuple{field("image", &InspectImage::image)};
template <>
inline constexpr auto kFields<TagImage> = std::tuple{field("image", &TagImage::image), field("name", &TagImage::name)};
template <>
inline constexpr auto kFields<RemoveImage> = std::tuple{field("image", &RemoveImage::image)};
template <>
inline constexpr auto kFields<PullImage> =
    std::tuple{field("name", &PullImage::name), field("platform", &PullImage::platform)};
template <>
inline constexpr auto kFields<SendImage> =
    std::tuple{field("image", &SendImage::image), field("output", &SendImage::output),
               field("names", &SendImage::names), field("codec", &SendImage::codec)};
template <>
inline constexpr auto kFields<Request> =
    std::tuple{field("protocol", &Request::protocol),     field("store", &Request::store),
               field("plain_http", &Request::plain_http), field("task", &Request::task),
               field("answers", &Request::answers),       field("descriptors", &Request::descriptors)};
template <>
inline constexpr auto kFields<Cancel> = std::tuple{};

template <>
inline constexpr auto kFields<Span> =
    std::tuple{field("line", &Span::line), field("column", &Span::column), field("end_line", &Span::end_line),
               field("end_column", &Span::end_column)};
template <>
inline constexpr auto kFields<Diagnostic> = std::tuple{
    field("severity", &Diagnostic::severity), field("code", &Diagnostic::code), field("message", &Diagnostic::message),
    field("hint", &Diagnostic::hint), field("span", &Diagnostic::span)};
template <>
inline constexpr auto kFields<FileOnWire> =
    std::tuple{field("name", &FileOnWire::name), field("text", &FileOnWire::text)};

template <>
inline constexpr auto kFields<StepInfo> = std::tuple{
    field("number", &StepInfo::number), field("stage", &StepInfo::stage), field("position", &StepInfo::position),
    field("instruction", &StepInfo::instruction), field("line", &StepInfo::line)};
template <>
inline constexpr auto kFields<event::BuildPlanned> = std::tuple{field("total", &event::BuildPlanned::total)};
template <>
inline constexpr auto kFields<event::StepStarted> = std::tuple{field("step", &event::StepStarted::step)};
template <>
inline constexpr auto kFields<OutputEvent> =
    std::tuple{field("number", &OutputEvent::number), field("is_stderr", &OutputEvent::is_stderr),
               field("text", &OutputEvent::text)};
template <>
inline constexpr auto kFields<event::StepTransfer> =
    std::tuple{field("number", &event::StepTransfer::number), field("what", &event::StepTransfer::what),
               field("done", &event::StepTransfer::done), field("total", &event::StepTransfer::total)};
template <>
inline constexpr auto kFields<event::StepFinished> =
    std::tuple{field("step", &event::StepFinished::step), field("outcome", &event::StepFinished::outcome),
               field("ms", &event::StepFinished::duration), field("detail", &event::StepFinished::detail)};
template <>
inline constexpr auto kFields<WarningEvent> =
    std::tuple{field("diagnostic", &WarningEvent::diagnostic), field("file", &WarningEvent::file)};

template <>
inline constexpr auto kFields<ImageOnWire> = std::tuple{
    field("id", &ImageOnWire::id),     field("names", &ImageOnWire::names),   field("created", &ImageOnWire::created),
    field("size", &ImageOnWire::size), field("layers", &ImageOnWire::layers), field("config", &ImageOnWire::config)};
template <>
inline constexpr auto kFields<BuildDone> =
    std::tuple{field("image_id", &BuildDone::image_id), field("manifest", &BuildDone::manifest)};
template <>
inline constexpr auto kFields<ImageList> = std::tuple{field("images", &ImageList::images)};
template <>
inline constexpr auto kFields<SendDone> = std::tuple{field("manifest", &SendDone::manifest)};
template <>
inline constexpr auto kFields<Done> = std::tuple{};

template <>
inline constexpr auto kFields<Failure::Place> =
    std::tuple{field("file", &Failure::Place::file), field("span", &Failure::Place::span)};
template <>
inline constexpr auto kFields<Failure> = std::tuple{field("kind", &Failure::kind),
                                                    field("code", &Failure::code),
                                                    field("message", &Failure::message),
                                                    field("hint", &Failure::hint),
                                                    field("frames", &Failure::frames),
                                                    field("where", &Failure::where),
                                                    field("diagnostics", &Failure::diagnostics),
                                                    field("error_number", &Failure::error_number),
                                                    field("status", &Failure::status),
                                                    field("retry", &Failure::retry),
                                                    field("exit_code", &Failure::exit_code),
                                                    field("log_tail", &Failure::log_tail),
                                                    field("log_path", &Failure::log_path)};

template <>
inline constexpr auto kFields<SecretQuestion> = std::tuple{field("id", &SecretQuestion::id)};
template <>
inline constexpr auto kFields<AgentQuestion> = std::tuple{field("id", &AgentQuestion::id)};
template <>
inline constexpr auto kFields<CredentialsQuestion> =
    std::tuple{field("domain", &CredentialsQuestion::domain), field("path", &CredentialsQuestion::path)};
template <>
inline constexpr auto kFields<Ask> = std::tuple{field("number", &Ask::number), field("question", &Ask::question)};
template <>
inline constexpr auto kFields<Answer> =
    std::tuple{field("number", &Answer::number), field("found", &Answer::found), field("text", &Answer::text),
               field("failure", &Answer::failure), field("has_descriptor", &Answer::has_descriptor)};

using Names = std::string_view;
template <>
inline constexpr auto kNames<Question> = std::array{Names("secret"), Names("agent"), Names("credentials")};
template <>
inline constexpr auto kNames<Task> =
    std::array{Names("build"),        Names("list-images"), Names("inspect-image"), Names("tag-image"),
               Names("remove-image"), Names("pull-image"),  Names("send-image")};
template <>
inline constexpr auto kNames<WireEvent> = std::array{Names("planned"),  Names("started"),  Names("output"),
                                                     Names("transfer"), Names("finished"), Names("warning")};
template <>
inline constexpr auto kNames<Result> =
    std::array{Names("build"), Names("images"), Names("image"), Names("sent"), Names("done")};
template <>
inline constexpr auto kNames<FromWorker> =
    std::array{Names("hello"), Names("event"), Names("ask"), Names("result"), Names("error")};
template <>
inline constexpr auto kNames<FromHost> = std::array{Names("request"), Names("answer"), Names("cancel")};

constexpr std::string_view name_of(Severity severity) {
    switch (severity) {
        case Severity::error:
            return "error";
        case Severity::warning:
            return "warning";
    }
    return {};
}

constexpr std::string_view name_of(StepOutcome outcome) {
    switch (outcome) {
        case StepOutcome::done:
            return "done";
        case StepOutcome::cached:
            return "cached";
        case StepOutcome::failed:
            return "failed";
        case StepOutcome::cancelled:
            return "cancelled";
    }
    return {};
}

constexpr std::string_view name_of(Failure::Kind kind) {
    using enum Failure::Kind;
    switch (kind) {
        case error:
            return "error";
        case usage:
            return "usage";
        case parse:
            return "parse";
        case io:
            return "io";
        case corrupt:
            return "corrupt";
        case registry:
            return "registry";
        case step_failed:
            return "step-failed";
        case cancelled:
            return "cancelled";
    }
    return {};
}

}  // namespace imgbuild::worker
