// What a stage is at one point of its instructions: its file system so far and the config of the image it would make.
#pragma once

#include "builder/graph.hpp"
#include "oci/image_config.hpp"
#include "parser/expand.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::builder {

using NameValue = std::pair<std::string, std::string>;

struct StageState {
    /// Name, or index if it has none: for progress.
    std::string label;
    /// Nothing: an empty file system (scratch).
    std::optional<NodeId> fs;
    oci::ImageConfig config;
    struct Argument {
        std::string name;
        /// Nothing: declared and unset.
        std::optional<std::string> value;
        /// An ENV of the same name came later.
        bool hidden = false;
    };
    /// ARGs that have been declared, in order.
    std::vector<Argument> args;
    /// CMD was set in this stage, so that a later ENTRYPOINT keeps it.
    bool cmd_is_own = false;

    /// What words of the next instruction see: ENV and ARG, of two with one name the later.
    parser::Environment environment() const;
    /// The same as "NAME=value", for commands.
    std::vector<std::string> command_env() const;
    std::vector<NameValue> env_pairs() const;
    void set_env(const std::string& name, const std::string& value);
    void set_arg(const std::string& name, std::optional<std::string> value);

    /// ARGs with a value that no later ENV hides, in order.
    std::vector<NameValue> visible_args() const;
    /// The shell of shell forms, with its default.
    std::vector<std::string> shell() const;
    std::string workdir() const { return config.config.working_dir.empty() ? "/" : config.config.working_dir; }

    enum class Layer { none, made };
    void add_history(std::string created_by, Layer layer);
};

/// The PATH that images without one get (SPEC A5.03).
inline constexpr std::string_view kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace imgbuild::builder
