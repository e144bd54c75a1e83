// A program that embeds imgbuild: it builds images, shows progress, handles failures, and cancels.
//
//   embed push CONTEXT NAME          build and push
//   embed cancel CONTEXT             build, and stop when the first output comes
//   embed many CONTEXT NAME COUNT    as many builds at once, each with a name of its own: NAME-1, NAME-2, …
//   embed images                     what the store has
//   embed copy NAME DESTINATION      pull an image, give it another name, push it, and forget both
//
// Environment: BASE=oci-layout://DIR is the image that a build file calls "base".
#include <imgbuild/imgbuild.hpp>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace {

/// One line per thing that happens. A sink is called on the thread of its build; several builds share std::cerr.
class Lines : public imgbuild::ProgressSink {
public:
    explicit Lines(std::string title) : title_(std::move(title)) {}

    void report(const imgbuild::Event& event) noexcept override {
        if (const auto* started = std::get_if<imgbuild::event::StepStarted>(&event)) {
            line("begins: " + started->step.instruction);
        } else if (const auto* output = std::get_if<imgbuild::event::StepOutput>(&event)) {
            line("says: " + std::string(output->text.substr(0, output->text.find('\n'))));
            if (on_output) on_output();
        } else if (const auto* finished = std::get_if<imgbuild::event::StepFinished>(&event)) {
            const bool cached = finished->outcome == imgbuild::StepOutcome::cached;
            line((cached ? "was there: " : "ended: ") + finished->step.instruction);
        }
    }

    std::function<void()> on_output;

private:
    void line(const std::string& text) {
        static std::mutex mutex;
        const std::lock_guard lock(mutex);
        std::cerr << title_ << ' ' << text << '\n';
    }

    std::string title_;
};

imgbuild::BuildRequest request_for(const std::string& context) {
    imgbuild::BuildRequest request;
    request.context = context;
    if (const char* base = std::getenv("BASE")) request.contexts["base"] = base;
    return request;
}

// What a caller may want to tell apart: every error has a stable code, and some have a type with more to say.
int explain(const imgbuild::Error& error) {
    std::ostringstream out;
    out << "error " << error.code() << ": " << error.what() << '\n';
    if (const auto* step = dynamic_cast<const imgbuild::StepFailed*>(&error)) {
        out << "exit code " << step->exit_code() << ", at the end it said:\n" << step->log_tail();
    }
    if (const auto* parse = dynamic_cast<const imgbuild::ParseError*>(&error)) {
        for (const imgbuild::Diagnostic& problem : parse->diagnostics())
            out << "line " << problem.span.line << ": " << problem.message << '\n';
    }
    if (!error.hint().empty()) out << "hint: " << error.hint() << '\n';
    std::cout << out.str();
    return dynamic_cast<const imgbuild::Cancelled*>(&error) != nullptr ? 3 : 1;
}

int push(const std::string& context, const std::string& name) {
    imgbuild::BuildRequest request = request_for(context);
    request.names = {imgbuild::Reference::parse(name)};
    request.outputs = {imgbuild::Output::push()};
    Lines progress("push");
    const imgbuild::BuildResult result = imgbuild::build(request, {}, &progress);
    for (const imgbuild::event::Warning& warning : result.warnings)
        std::cout << "warning " << warning.diagnostic.code << ": " << warning.diagnostic.message << '\n';
    std::cout << "image " << result.image_id.text() << "\nmanifest " << result.manifest->text() << '\n';
    return 0;
}

int cancel(const std::string& context) {
    std::stop_source stop;
    Lines progress("cancel");
    progress.on_output = [&stop] { stop.request_stop(); };
    imgbuild::build(request_for(context), {}, &progress, stop.get_token());
    return 0;
}

int many(const std::string& context, const std::string& name, int count) {
    std::atomic<int> failures = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 1; i <= count; ++i) {
            threads.emplace_back([&, i] {
                try {
                    const std::string own = name + "-" + std::to_string(i);
                    imgbuild::BuildRequest request = request_for(context);
                    request.build_args = {{"NUMBER", std::to_string(i)}};
                    request.names = {imgbuild::Reference::parse(own)};
                    request.outputs = {imgbuild::Output::push()};
                    Lines progress(std::to_string(i));
                    imgbuild::build(request, {}, &progress);
                } catch (const imgbuild::Error& error) {
                    ++failures;
                    explain(error);
                }
            });
        }
    }
    std::cout << count - failures << " of " << count << " built\n";
    return failures == 0 ? 0 : 1;
}

int images() {
    for (const imgbuild::ImageInfo& image : imgbuild::ImageStore().list()) {
        std::cout << image.id.text();
        for (const imgbuild::Reference& name : image.names) std::cout << ' ' << name.familiar();
        std::cout << '\n';
    }
    return 0;
}

int copy(const std::string& from, const std::string& to) {
    const imgbuild::ImageStore store;
    const imgbuild::Reference source = imgbuild::Reference::parse(from);
    const imgbuild::Reference destination = imgbuild::Reference::parse(to);
    const imgbuild::ImageInfo image = store.pull(source);
    store.tag(image.id.text(), destination);
    std::cout << "manifest " << store.push(to, destination).text() << '\n';
    store.remove(to);
    store.remove(from);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() == 3 && words[0] == "push") return push(words[1], words[2]);
        if (words.size() == 2 && words[0] == "cancel") return cancel(words[1]);
        if (words.size() == 4 && words[0] == "many") return many(words[1], words[2], std::stoi(words[3]));
        if (words.size() == 1 && words[0] == "images") return images();
        if (words.size() == 3 && words[0] == "copy") return copy(words[1], words[2]);
    } catch (const imgbuild::Error& error) {
        return explain(error);
    }
    std::cerr << "usage: embed push CONTEXT NAME | cancel CONTEXT | many CONTEXT NAME COUNT | images | copy NAME "
                 "DESTINATION\n";
    return 2;
}
