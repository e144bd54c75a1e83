// The table of the index that speaks of what commands took.
#include "layers/index_db.hpp"

#include <algorithm>
#include <limits>

namespace imgbuild::layers {
namespace {

constexpr std::int64_t kMostCosts = 20'000;

}  // namespace

void Tables::put_cost(const StepCost& cost) {
    constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
    db_.prepare("INSERT OR REPLACE INTO costs (step, time, memory) VALUES (?, ?, ?)")
        .bind(cost.step)
        .bind(cost.time.count())
        .bind(static_cast<std::int64_t>(std::min(cost.memory, kLargest)))
        .run();
    db_.prepare("DELETE FROM costs WHERE seq <= (SELECT max(seq) FROM costs) - ?").bind(kMostCosts).run();
}

std::optional<StepCost> Tables::cost(const Digest& step) {
    auto statement = db_.prepare("SELECT time, memory FROM costs WHERE step = ?");
    statement.bind(step);
    if (!statement.next()) return std::nullopt;
    return StepCost{.step = step,
                    .time = std::chrono::milliseconds(statement.integer(0)),
                    .memory = static_cast<std::uint64_t>(statement.integer(1))};
}

}  // namespace imgbuild::layers
