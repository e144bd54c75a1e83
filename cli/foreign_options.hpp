// Options of `docker build`, `docker buildx build` and `buildah build` that have no effect here. Scripts bring them
// along, so each is known: harmless ones are taken, and the others are errors that name what to do instead. None is
// taken and then not done.
#pragma once

namespace CLI {
class App;
}

namespace imgbuild::cli {

/// Adds them to `command`, hidden from its help. One that asks for what cannot be done is a UsageError
/// ("usage.unsupported-option") while the command line is read.
void add_foreign_options(CLI::App& command);

}  // namespace imgbuild::cli
