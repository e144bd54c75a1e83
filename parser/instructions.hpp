// What the instructions of a build file say, as values.
//
// Words stay as they were written: variables, quotes and escapes are resolved by expand.hpp, because that needs the
// environment at the place of the instruction, which only the builder knows. Each member says how it is meant:
//   [word]   expand to one text: WordExpander::expand()
//   [words]  expand to any number of words: WordExpander::expand_words()
//   [plain]  taken as it is
// All words of one instruction see the environment from before that instruction.
#pragma once

#include "parser/ast.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace imgbuild::parser {

/// A piece of text and where it stands. The text may be shorter than the span where continuations or flag quotes
/// were removed.
struct Word {
    std::string text;
    Span span;
};

/// A command, as RUN, CMD, ENTRYPOINT and HEALTHCHECK have it. Never expanded by us.
struct CommandLine {
    enum class Form { shell, exec };
    Form form = Form::shell;
    /// exec: the arguments (may be none: "CMD []" clears). shell: one text for the shell, or none if nothing was
    /// written.
    std::vector<std::string> words;
};

/// A heredoc as an instruction uses it. `text` has its tabs stripped.
struct HeredocFile {
    std::string name;
    std::string text;
    /// COPY and ADD: variables in `text` are expanded (quotes and escapes stay): WordExpander::expand_text().
    bool expand = true;
    Span span;
};

struct KeyValue {
    Word key;    // [word]
    Word value;  // [word]
    /// "key value" instead of "key=value": the rest of the line is the value.
    bool legacy = false;
};

struct From {
    /// [word] with the global ARGs only. A registry image, "scratch", or the name of an earlier stage.
    Word image;
    /// [word] with the global ARGs only.
    std::optional<Word> platform;
    /// "AS" as written; there if and only if there is a name.
    std::optional<Word> as;
    /// [plain] as written; the stage's name is this in lower case.
    std::optional<Word> name;
};

struct Arg {
    struct Item {
        Word name;                  // [plain]
        std::optional<Word> value;  // [word] the default
        /// From the comment above: "# NAME text".
        std::string description;
    };
    std::vector<Item> items;
};

struct Env {
    std::vector<KeyValue> pairs;
};

struct Label {
    std::vector<KeyValue> pairs;
};

/// One "key=value" or "key" of a --mount flag.
struct MountOption {
    /// [plain], lower case.
    std::string key;
    /// [word]; absent for a key alone.
    std::optional<std::string> value;
};

/// A --mount flag as a list of options. mount.hpp makes a Mount of it once variables are known.
struct MountFlag {
    std::vector<MountOption> options;
    Span span;
};

enum class NetworkMode { standard, none, host };
enum class SecurityMode { sandbox, insecure };

struct Run {
    CommandLine command;
    std::vector<HeredocFile> heredocs;
    std::vector<MountFlag> mounts;
    NetworkMode network = NetworkMode::standard;
    SecurityMode security = SecurityMode::sandbox;
    std::vector<Word> devices;  // [word]
    /// Names of the flags that were written, in order, each once: "mount", "network", ….
    std::vector<std::string> flags_used;
};

struct Cmd {
    CommandLine command;
};

struct Entrypoint {
    CommandLine command;
};

struct Shell {
    /// [plain], at least one.
    std::vector<std::string> words;
};

/// What COPY and ADD have in common.
struct FileSet {
    std::vector<Word> sources;  // [word] each
    /// Files that are written in the build file itself; their names are file names.
    std::vector<HeredocFile> heredocs;
    Word destination;            // [word]
    std::optional<Word> chown;   // [word] "user[:group]"
    std::optional<Word> chmod;   // [word] octal or symbolic, see FileMode in values.hpp
    std::vector<Word> excludes;  // [word] each, patterns as in an ignore file
    bool link = false;
};

struct Copy {
    FileSet files;
    /// [plain] Stage name or index, named context, or image. In a valid file without any variable.
    std::optional<Word> from;
    bool parents = false;
};

struct Add {
    FileSet files;
    /// Absent: the source's own default decides.
    std::optional<bool> keep_git_dir;
    std::optional<Word> checksum;  // [word]
    std::optional<bool> unpack;
};

struct Workdir {
    Word path;  // [word]
};

struct User {
    Word user;  // [word]
};

struct Volume {
    std::vector<Word> paths;  // [word] each
};

struct Expose {
    std::vector<Word> ports;  // [words] each, then parse_ports()
};

struct StopSignal {
    Word signal;  // [word]
};

struct Healthcheck {
    /// "NONE": switches an inherited check off; nothing else is set then.
    bool none = false;
    CommandLine command;
    /// Zero: inherit.
    std::chrono::nanoseconds interval{0};
    std::chrono::nanoseconds timeout{0};
    std::chrono::nanoseconds start_period{0};
    std::chrono::nanoseconds start_interval{0};
    std::int64_t retries = 0;
};

struct Instruction;

struct Onbuild {
    /// [plain] The trigger as it goes into the image's configuration, heredocs included.
    std::string text;
    /// The same, parsed; never FROM, ONBUILD or MAINTAINER. Null only in a file with errors.
    std::shared_ptr<const Instruction> trigger;
};

struct Maintainer {
    Word author;  // [plain]
};

using InstructionBody = std::variant<Arg, Env, Label, Run, Cmd, Entrypoint, Shell, Copy, Add, Workdir, User, Volume,
                                     Expose, StopSignal, Healthcheck, Onbuild, Maintainer>;

/// An instruction inside a stage (or a global ARG), with its place and its text.
struct Instruction {
    /// As written.
    std::string keyword;
    Span keyword_span;
    /// The logical line as written: for progress and history.
    std::string original;
    /// First to last physical line, heredocs included.
    Span span;
    Span arguments;
    /// Comment lines above, since the instruction before or a line with "#" alone, without "#" and outer blanks.
    std::vector<std::string> previous_comment;
    InstructionBody body;
};

/// Reads the trigger texts that a base image carries (config "OnBuild"): one instruction each. The spans point into
/// `file`, which the caller makes of the text. Throws ParseError.
Instruction parse_trigger(std::shared_ptr<const SourceFile> file);

}  // namespace imgbuild::parser
