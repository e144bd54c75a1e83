// What the names in FROM and --from mean: an earlier stage, a named context, "scratch", or an image. Pure.
#pragma once

#include "builder/frontend/arguments.hpp"
#include "builder/frontend/lower.hpp"
#include "parser/file.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace imgbuild::builder {

struct Scratch {};
struct StageIndex {
    std::size_t index = 0;
};
struct OutsideImage {
    ImageRequest request;
};
struct ContextDirectory {
    std::string name;
};
using Origin = std::variant<Scratch, StageIndex, OutsideImage, ContextDirectory>;

/// What people see of a stage: its name, or "stage-N".
std::string stage_label(const parser::BuildFile& file, std::size_t stage);

class StageNames {
public:
    StageNames(const parser::BuildFile& file, const LowerOptions& options, const GlobalArguments& globals)
        : file_(file), options_(options), globals_(globals) {}

    /// The stage that --target asks for. Throws Error "usage.unknown-target" with the names that there are.
    std::size_t target() const;
    /// What the stage is FROM; if it is replaced, what takes its place.
    Origin base_of(std::size_t stage) const;
    /// A --build-context of the stage's own name takes its place as a whole: its instructions are not carried out.
    bool is_replaced(std::size_t stage) const;
    /// What COPY --from or a mount in `stage` names.
    Origin from(const parser::Word& word, std::size_t stage) const;
    Platform platform_of(std::size_t stage) const;
    std::string label_of(std::size_t stage) const { return stage_label(file_, stage); }

private:
    std::optional<Origin> context(std::string_view name, const Platform& platform) const;

    const parser::BuildFile& file_;
    const LowerOptions& options_;
    const GlobalArguments& globals_;
};

}  // namespace imgbuild::builder
