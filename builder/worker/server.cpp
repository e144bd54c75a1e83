#include "builder/worker/server.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "builder/pull.hpp"
#include "builder/send.hpp"
#include "builder/worker/protocol.hpp"
#include "builder/worker/translate.hpp"
#include "layers/image_removal.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace imgbuild::worker {
namespace {

CorruptData bad_message(std::string message) {
    return CorruptData({.code = "worker.bad-message", .message = std::move(message), .hint = {}, .where = {}});
}

class EventSender final : public ProgressSink {
public:
    EventSender(Channel& channel, KnownFile known) : channel_(channel), known_(std::move(known)) {}
    void report(const Event& event) noexcept override {
        try {
            channel_.send(encode(FromWorker(to_wire(event, known_))));
        } catch (...) {
            // The host is gone, which the listener sees as well; or no memory for a line (see ProgressSink).
        }
    }

private:
    Channel& channel_;
    KnownFile known_;
};

/// Listens to the host while the request is carried out.
class Listener {
public:
    Listener(Channel& channel, Questions& questions, std::stop_source& stop)
        : channel_(channel), questions_(questions), stop_(stop), thread_([this] { listen(); }) {}
    ~Listener() {
        {
            const std::lock_guard lock(mutex_);
            finished_ = true;
        }
        changed_.notify_all();
        channel_.stop_reading();
    }

private:
    void listen() {
        try {
            while (const auto line = channel_.receive()) {
                FromHost message = decode_from_host(*line);
                if (auto* answer = std::get_if<Answer>(&message)) {
                    questions_.take(std::move(*answer));
                } else if (std::holds_alternative<Cancel>(message)) {
                    stop_.request_stop();
                } else {
                    throw bad_message("a second request");
                }
            }
        } catch (const std::exception&) {
            // Whoever sends what we do not know cannot be obeyed any longer: as if it were gone.
        }
        stop_.request_stop();
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, kLastGrace, [this] { return finished_; })) ::_exit(1);
    }

    Channel& channel_;
    Questions& questions_;
    std::stop_source& stop_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool finished_ = false;
    std::jthread thread_;
};

// Descriptors 0 and 1 are the request's, or nothing: what the process was started with is no business of a build.
void place_descriptors(Channel& channel, const Request& request) {
    const util::Fd nothing = util::open_path("/dev/null", O_RDWR);
    util::check(::dup2(nothing.get(), STDIN_FILENO), "replace", "standard input");
    util::check(::dup2(nothing.get(), STDOUT_FILENO), "replace", "standard output");
    for (const std::string& name : request.descriptors) {
        const util::Fd fd = channel.take_descriptor();
        if (!fd) throw bad_message(fmt::format("no descriptor came for {}", util::quote(name)));
        if (name != "stdin" && name != "stdout")
            throw bad_message(fmt::format("a descriptor cannot be {}", util::quote(name)));
        util::check(::dup2(fd.get(), name == "stdin" ? STDIN_FILENO : STDOUT_FILENO), "replace", name);
    }
}

bool has(const Request& request, std::string_view descriptor) {
    return std::find(request.descriptors.begin(), request.descriptors.end(), descriptor) != request.descriptors.end();
}

void check_output(const builder::Output& output, const Request& request) {
    if (output.destination != "-" || has(request, "stdout")) return;
    throw UsageError({.code = "usage.bad-output",
                      .message = "an output has the destination '-', and no descriptor came for it",
                      .hint = "send one with the request, as \"stdout\"",
                      .where = {}});
}

ImageOnWire image_on_wire(const layers::ImageRecord& image) {
    return {.id = image.id,
            .names = image.names,
            .created = image.created,
            .size = image.size,
            .layers = image.diff_ids,
            .config = image.config};
}

/// The name of the image that `text` is; nothing if it is the beginning of its id.
std::optional<std::string> name_in(const std::string& text, const layers::ImageRecord& image) {
    if (text.starts_with("sha256:")) return std::nullopt;
    try {
        std::string normal = Reference::parse(text).text();
        const bool has = std::find(image.names.begin(), image.names.end(), normal) != image.names.end();
        return has ? std::optional(std::move(normal)) : std::nullopt;
    } catch (const UsageError&) {
        return std::nullopt;  // 64 hexadecimal digits, which are no name
    }
}

/// Carries one request out.
struct Clerk {
    const Request& request;
    const builder::Services& services;
    const Setup& setup;
    std::stop_token stop;

    layers::ImageRecord require_image(const std::string& text) const {
        return setup.require_image(services.store, text);
    }

    Result operator()(const builder::BuildRequest& task) const {
        for (const builder::Output& output : task.outputs) check_output(output, request);
        const builder::BuildResult result = builder::build(task, services, stop);
        return BuildDone{.image_id = result.image_id, .manifest = result.manifest};
    }

    Result operator()(const ListImages&) const {
        ImageList out;
        for (const layers::ImageRecord& image : services.store.list_images())
            out.images.push_back(image_on_wire(image));
        return out;
    }

    Result operator()(const InspectImage& task) const { return image_on_wire(require_image(task.image)); }

    Result operator()(const TagImage& task) const {
        const layers::ImageRecord image = require_image(task.image);
        const Reference name = Reference::parse(task.name);
        if (name.digest()) {
            throw UsageError({.code = "usage.bad-reference",
                              .message = "a name with a digest cannot be given to an image",
                              .hint = "give a tag only",
                              .where = {}});
        }
        services.store.tag(image.id, name.text());
        return Done{};
    }

    Result operator()(const RemoveImage& task) const {
        const layers::ImageRecord image = require_image(task.image);
        const std::optional<std::string> name = name_in(task.image, image);
        static_cast<void>(name ? layers::remove_name(services.store, *name)
                               : layers::remove_image(services.store, image.id));
        return Done{};
    }

    Result operator()(const PullImage& task) const {
        const Digest id = builder::pull_image(Reference::parse(task.name), task.platform, services, stop);
        return image_on_wire(require_image(id.text()));
    }

    Result operator()(const SendImage& task) const {
        check_output(task.output, request);
        const layers::ImageRecord image = require_image(task.image);
        return SendDone{.manifest =
                            builder::send_stored_image(image, task.output, task.names, task.codec, services, stop)};
    }
};

KnownFile build_file(const Request& request) {
    const auto* build = std::get_if<builder::BuildRequest>(&request.task);
    return build == nullptr ? nullptr : build->file;
}

Request read_request(Channel& channel, const std::string& line) {
    FromHost message = decode_from_host(line);
    auto* request = std::get_if<Request>(&message);
    if (request == nullptr) throw bad_message("the first message is no request");
    if (request->protocol != kProtocol) {
        throw CorruptData({.code = "worker.version",
                           .message = fmt::format("the host speaks version {} of the worker protocol, this program {}",
                                                  request->protocol, kProtocol),
                           .hint = "install the library and the program from one release",
                           .where = {}});
    }
    if (const auto* build = std::get_if<builder::BuildRequest>(&request->task); build != nullptr && !build->file)
        throw bad_message("a build has no file");
    place_descriptors(channel, *request);
    return std::move(*request);
}

// What a build may ask, its host answers.
void connect(Request& request, Questions& questions, const std::stop_token& stop) {
    auto* build = std::get_if<builder::BuildRequest>(&request.task);
    if (build == nullptr) return;
    if (questions.answers("secret"))
        build->confidants.secret = [&questions, stop](const std::string& id) { return questions.secret(id, stop); };
    if (questions.answers("agent"))
        build->confidants.agent = [&questions, stop](const std::string& id) { return questions.agent(id, stop); };
}

FromWorker carry_out(Channel& channel, const Setup& setup, const std::string& line) {
    KnownFile known;
    try {
        Request request = read_request(channel, line);
        known = build_file(request);
        EventSender events(channel, known);
        std::stop_source stop;
        const std::stop_callback on_signal(setup.stop, [&stop] { stop.request_stop(); });
        Questions questions(channel, request.answers);
        connect(request, questions, stop.get_token());
        const Listener listener(channel, questions, stop);
        const builder::Services services = setup.services(request, questions, events);
        return std::visit(Clerk{.request = request, .services = services, .setup = setup, .stop = stop.get_token()},
                          request.task);
    } catch (...) {
        return to_failure(std::current_exception(), known);
    }
}

}  // namespace

bool serve(Channel& channel, const Setup& setup) {
    try {
        channel.send(encode(FromWorker(Hello{.protocol = kProtocol, .version = setup.version})));
        const auto line = channel.receive();
        if (!line) return false;
        channel.send(encode(carry_out(channel, setup, *line)));
        return true;
    } catch (const IoError&) {
        return false;  // The host is gone: there is nobody to tell.
    }
}

}  // namespace imgbuild::worker
