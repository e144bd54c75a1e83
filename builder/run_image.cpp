#include "builder/run_image.hpp"

#include <imgbuild/error.hpp>

#include "builder/export.hpp"
#include "builder/ops/exec_op.hpp"
#include "builder/ops/root.hpp"

namespace imgbuild::builder {
namespace {

std::vector<std::string> command_of(const oci::RunConfig& config, const std::vector<std::string>& args) {
    std::vector<std::string> out = config.entrypoint.value_or(std::vector<std::string>{});
    const std::vector<std::string> rest = args.empty() ? config.cmd.value_or(std::vector<std::string>{}) : args;
    out.insert(out.end(), rest.begin(), rest.end());
    if (out.empty()) {
        throw UsageError({.code = "usage.no-command",
                          .message = "the image has neither ENTRYPOINT nor CMD",
                          .hint = "name the command: imgbuild run IMAGE COMMAND",
                          .where = {}});
    }
    return out;
}

}  // namespace

sandbox::StepResult run_image(const layers::ImageRecord& record, const std::vector<std::string>& args,
                              const Services& services, sandbox::OutputSink& output, const Work& work) {
    const Image image = load_image(record, services);
    layers::Lease lease = services.store.begin_lease();
    LayerForms forms(lease, services.threads);
    const oci::RunConfig& config = image.config.config;
    Exec exec;
    exec.args = command_of(config, args);
    exec.env = config.env;
    exec.workdir = config.working_dir.empty() ? "/" : config.working_dir;
    exec.user = config.user;
    const layers::ChainView view = forms.view(image.fs, work);
    sandbox::StepSpec spec = step_spec(exec, view, image.time);
    const layers::UnfinishedLayer scratch = lease.begin_layer();
    const std::unique_ptr<sandbox::Sandbox> sandbox = services.make_sandbox(scratch.tree());
    Scaffolds scaffolds(forms.lease());
    const auto root =
        make_snapshotter(sandbox->root_form())
            ->prepare({.fs = image.fs, .view = view, .forms = forms, .scaffolds = scaffolds, .work = work}, spec);
    return sandbox->run(spec, output, work.stop);
}

}  // namespace imgbuild::builder
