#include "builder/context/read_ahead.hpp"

#include <imgbuild/error.hpp>

#include "builder/context/checksums.hpp"
#include "builder/ops/keys.hpp"
#include "builder/ops/selection.hpp"

namespace imgbuild::builder {
namespace {

class NobodyListens final : public ProgressSink {
public:
    void report(const Event&) noexcept override {}
};

}  // namespace

void read_ahead(const SourceTree& tree, const std::vector<CopyFiles>& reads, layers::Store& store, unsigned threads,
                const std::stop_token& stop) {
    NobodyListens nobody;
    const Work work{.stop = stop, .progress = nobody};
    try {
        for (const CopyFiles& read : reads) {
            if (stop.stop_requested()) return;
            const Selection selection = select_files(tree, read, threads);
            content_checksums(tree, files_of(selection), store, threads, work);
        }
    } catch (const Error&) {
        // See the header. Cancelled is one of them.
    }
}

}  // namespace imgbuild::builder
