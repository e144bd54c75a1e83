#include "builder/worker/server.hpp"
#include "cli/commands.hpp"
#include "cli/image_names.hpp"
#include "cli/services.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <memory>

namespace imgbuild::cli {
namespace {

struct Options {
    int fd = 3;
};

util::Fd require_socket(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
        throw UsageError({.code = "usage.no-host",
                          .message = fmt::format("descriptor {} is no stream socket", fd),
                          .hint = "a worker is started by a program that speaks its protocol (docs/worker-protocol.md)",
                          .where = {}});
    }
    util::check(::fcntl(fd, F_SETFD, FD_CLOEXEC), "prepare", "the socket");
    return util::Fd(fd);
}

// The host's word first, then what docker's and podman's files and helpers know.
void ask_for_credentials(worker::Questions& questions, AppContext& context) {
    registry::CredentialSearch& files = context.credentials();
    context.make_client(
        [&questions, &files](const std::string& domain, const std::string& path, const std::stop_token& stop) {
            auto known = questions.credentials(domain, path, stop);
            return known ? std::move(known) : files.find(domain, path, stop);
        });
}

// `refusal`: why the process could not become what it has to be. The host is told, in answer to its request.
int run_worker(const Options& options, AppContext& context, const std::exception_ptr& refusal) {
    worker::Channel channel(require_socket(options.fd));
    // What becomes of files that are written must not follow from the host's mask.
    ::umask(022);
    worker::Setup setup;
    setup.version = IMGBUILD_VERSION;
    setup.stop = context.stop();
    setup.require_image = require_image;
    setup.services = [&context, &refusal](const worker::Request& request, worker::Questions& questions,
                                          ProgressSink& progress) {
        if (refusal) std::rethrow_exception(refusal);
        if (!request.store.empty()) context.root = request.store;
        context.registry_options.plain_http.insert(request.plain_http.begin(), request.plain_http.end());
        if (questions.answers("credentials")) ask_for_credentials(questions, context);
        return make_services(context, progress);
    };
    return worker::serve(channel, setup) ? 0 : 1;
}

}  // namespace

void add_worker(CLI::App& app, AppContext& context, Chosen& chosen, Refused& refused) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand("worker", "Carry out one request of a program that embeds imgbuild");
    command->footer("Speaks JSON lines over a socket that it is started with; docs/worker-protocol.md has the words.");
    command->add_option("--fd", options->fd, "Descriptor of the connected stream socket")
        ->check(CLI::Range(3, 1 << 20))
        ->capture_default_str();
    command->callback([options, &context, &chosen, &refused] {
        chosen = [options, &context] { return run_worker(*options, context, nullptr); };
        refused = [options, &context](std::exception_ptr why) { return run_worker(*options, context, std::move(why)); };
    });
}

}  // namespace imgbuild::cli
