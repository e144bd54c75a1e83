// `imgbuild debug batch`: many small questions to the parser, and about names, through one process; for tests and for
// other tools. `imgbuild debug ast` and the like ask one of them about one file.
//
// Each input line is a JSON object {"id": …, "op": "…", …}; each is answered by one line with the same id and either
// the answer's members or "error" (a text) and "error_lines" ([[first, last], …] lines of the file). The operations
// and their members are those of the conformance data (shared/conformance/README.md), whose words are another
// builder's; this is the only place that knows them.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::cli {

/// Until the end of `in`. A malformed request is answered with an error and ends nothing. Returns the exit code.
int run_debug_batch(std::istream& in, std::ostream& out);

/// One question about one file, as `imgbuild debug ast FILE` asks it: the members of a request.
struct DebugQuestion {
    std::string operation;
    std::string text;
    /// directive: its name.
    std::string name;
    /// word, words
    std::vector<std::pair<std::string, std::string>> environment;
    std::string escape = "\\";
    std::vector<std::string> modes;
    /// match: the text's lines are the patterns.
    std::vector<std::string> paths;
    /// lint, outline, targets
    std::string ignore_file;
    std::vector<std::pair<std::string, std::string>> attributes;
};

/// Names of the operations, in order.
std::vector<std::string> debug_operations();
/// Prints the answer as indented JSON. Returns the exit code: that of build files if the answer is an error.
int run_debug_question(const DebugQuestion& question, std::ostream& out);

}  // namespace imgbuild::cli
