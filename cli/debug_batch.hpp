// `imgbuild debug batch`: many small questions to the parser, and about names, through one process; for tests and for
// other tools.
//
// Each input line is a JSON object {"id": …, "op": "…", …}; each is answered by one line with the same id and either
// the answer's members or "error" (a text) and "error_lines" ([[first, last], …] lines of the file). The operations
// and their members are those of the conformance data (shared/conformance/README.md), whose words are another
// builder's; this is the only place that knows them.
#pragma once

#include <istream>
#include <ostream>

namespace imgbuild::cli {

/// Until the end of `in`. A malformed request is answered with an error and ends nothing. Returns the exit code.
int run_debug_batch(std::istream& in, std::ostream& out);

}  // namespace imgbuild::cli
