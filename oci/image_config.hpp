// What an image says about itself: platform, defaults for running it, layers, history. Spec: image-spec config.md;
// Healthcheck, Shell, OnBuild and ArgsEscaped are docker's additions to it.
//
// Two promises. What we do not model is kept: members that a base image's config has beyond ours travel in `extra` as
// JSON text and are written again. And the text is canonical: to_json() depends on the value alone (members sorted by
// name, no white space, no empty members), since its digest is the image id that we promise to be reproducible.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/platform.hpp>

#include "oci/time.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

/// Members that we do not know: name → JSON text.
using ExtraMembers = std::map<std::string, std::string, std::less<>>;

/// Largest config that we read, in bytes.
inline constexpr std::size_t kMaxConfigBytes = 8U << 20;

struct Healthcheck {
    /// {"NONE"}, {"CMD", args…} or {"CMD-SHELL", text}; empty inherits.
    std::vector<std::string> test;
    /// Nanoseconds, as docker stores them; 0 inherits.
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    /// 0 inherits.
    std::int64_t retries = 0;
    ExtraMembers extra;

    friend bool operator==(const Healthcheck&, const Healthcheck&) = default;
};

/// The "config" member: how a container of the image runs unless told otherwise.
struct RunConfig {
    /// "user[:group]", names or numbers; empty is root.
    std::string user;
    /// "8080/tcp"
    std::set<std::string, std::less<>> exposed_ports;
    /// "NAME=value", in the order in which they were set.
    std::vector<std::string> env;
    /// Absent and empty differ: an empty list was written as such (`CMD []`), and is written again.
    std::optional<std::vector<std::string>> entrypoint;
    std::optional<std::vector<std::string>> cmd;
    std::set<std::string, std::less<>> volumes;
    std::string working_dir;
    std::map<std::string, std::string, std::less<>> labels;
    std::string stop_signal;
    bool args_escaped = false;
    std::optional<Healthcheck> healthcheck;
    /// Empty means the platform's default shell.
    std::vector<std::string> shell;
    /// Triggers for a build from this image, in order.
    std::vector<std::string> on_build;
    ExtraMembers extra;

    friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

/// One step of how the image came to be, oldest first.
struct HistoryEntry {
    std::optional<Timestamp> created;
    std::string created_by;
    std::string author;
    std::string comment;
    /// The step made no layer. The entries without this mark are as many as there are layers (in well-made images).
    bool empty_layer = false;
    ExtraMembers extra;

    friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

struct ImageConfig {
    std::optional<Timestamp> created;
    std::string author;
    /// Normalised when read.
    Platform platform;
    std::vector<std::string> os_features;
    RunConfig config;
    /// Lowest layer first.
    std::vector<DiffId> diff_ids;
    std::vector<HistoryEntry> history;
    ExtraMembers extra;

    friend bool operator==(const ImageConfig&, const ImageConfig&) = default;

    /// The canonical text. Bytes that are not UTF-8 become U+FFFD, as JSON cannot say them.
    std::string to_json() const;
};

/// Throws CorruptData ("corrupt.image-config") that names the member which is wrong.
ImageConfig parse_image_config(std::string_view text);

}  // namespace imgbuild::oci
