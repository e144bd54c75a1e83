// COPY and ADD.

#include "parser/instruction_source.hpp"
#include "parser/reject.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace imgbuild::parser {
namespace {

using Known = FlagSet::Known;
using Kind = FlagSet::Kind;

/// A source that is the name of a heredoc of this instruction, or nothing.
const Heredoc* find_heredoc(const InstructionSource& source, const Word& word) {
    if (source.arguments.json) {
        return nullptr;
    }
    const std::optional<Heredoc> written = parse_heredoc_word(word.text);
    if (!written) {
        return nullptr;
    }
    const std::vector<Heredoc>& heredocs = source.node.heredocs;
    const auto found = std::find_if(heredocs.begin(), heredocs.end(),
                                    [&written](const Heredoc& heredoc) { return heredoc.name == written->name; });
    return found == heredocs.end() ? nullptr : &*found;
}

FileSet parse_files(const InstructionSource& source, const FlagSet& flags) {
    const std::vector<Word>& words = source.words();
    if (words.size() < 2) {
        reject_arguments(source,
                         fmt::format("{} requires at least two arguments, but only one was provided. Destination "
                                     "could not be determined",
                                     source.name()),
                         fmt::format("write {} SOURCE… DESTINATION", source.name()));
    }
    FileSet files;
    files.destination = words.back();
    if (!source.arguments.json && parse_heredoc_word(files.destination.text)) {
        reject_arguments(source, fmt::format("{} cannot accept a heredoc as a destination", source.name()),
                         "put the destination behind the heredoc");
    }
    for (auto word = words.begin(); word != std::prev(words.end()); ++word) {
        if (const Heredoc* heredoc = find_heredoc(source, *word)) {
            files.heredocs.push_back(heredoc_file(*heredoc));
        } else {
            files.sources.push_back(*word);
        }
    }
    files.chown = flags.text("chown");
    files.chmod = flags.text("chmod");
    files.excludes = flags.list("exclude");
    files.link = flags.boolean("link").value_or(false);
    return files;
}

std::vector<Known> with_common_flags(std::vector<Known> own) {
    for (const Known& known : {Known{"chown", Kind::text}, Known{"chmod", Kind::text}, Known{"exclude", Kind::list},
                               Known{"link", Kind::boolean}}) {
        own.push_back(known);
    }
    return own;
}

void check_from(const InstructionSource& source, const Word& from) {
    if (from.text.contains('$')) {
        source.late("parse.variable-in-from",
                    fmt::format("'--from={}' doesn't support variable expansion", shown(from.text)),
                    "define an alias stage (FROM $image AS name), and name it here", from.span);
    }
}

}  // namespace

Copy parse_copy(const InstructionSource& source) {
    const FlagSet flags(source.node, with_common_flags({{"from", Kind::text}, {"parents", Kind::boolean}}));
    Copy copy;
    copy.files = parse_files(source, flags);
    copy.parents = flags.boolean("parents").value_or(false);
    copy.from = flags.text("from");
    if (copy.from) {
        check_from(source, *copy.from);
    }
    return copy;
}

Add parse_add(const InstructionSource& source) {
    const FlagSet flags(
        source.node,
        with_common_flags({{"keep-git-dir", Kind::boolean}, {"checksum", Kind::text}, {"unpack", Kind::boolean}}));
    Add add;
    add.files = parse_files(source, flags);
    add.keep_git_dir = flags.boolean("keep-git-dir");
    add.checksum = flags.text("checksum");
    add.unpack = flags.boolean("unpack");
    return add;
}

}  // namespace imgbuild::parser
