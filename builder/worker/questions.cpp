#include "builder/worker/questions.hpp"

#include <imgbuild/error.hpp>

#include "builder/secrets.hpp"
#include "builder/worker/protocol.hpp"
#include "builder/worker/translate.hpp"
#include "oci/json_object.hpp"
#include "util/defer.hpp"
#include "util/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>
#include <algorithm>
#include <cstring>

namespace imgbuild::worker {
namespace {

constexpr std::size_t kMaxCredentials = std::size_t{64} << 10;

CorruptData bad_answer(std::string message) {
    return CorruptData({.code = "worker.bad-message", .message = std::move(message), .hint = {}, .where = {}});
}

// What a host sent may be changed by it later, or be no file at all; so it is read once, within a limit.
std::string read_value(const util::Fd& value, std::size_t limit) {
    if (!value) throw bad_answer("an answer came without its descriptor");
    return util::read_all(value.get(), limit, "an answer of the host");
}

void wipe(std::string& text) {
    ::explicit_bzero(text.data(), text.size());
}

}  // namespace

bool Questions::answers(std::string_view kind) const {
    return std::find(answered_.begin(), answered_.end(), kind) != answered_.end();
}

std::optional<util::Fd> Questions::secret(const std::string& id, const std::stop_token& stop) {
    const auto given = ask(SecretQuestion{.id = id}, stop);
    if (!given) return std::nullopt;
    std::string text = read_value(given->value, builder::kMaxSecretBytes);
    const util::Defer forget([&] { wipe(text); });
    return builder::secret_from_text(text);
}

std::optional<std::string> Questions::agent(const std::string& id, const std::stop_token& stop) {
    auto given = ask(AgentQuestion{.id = id}, stop);
    if (!given) return std::nullopt;
    return std::move(given->text);
}

std::optional<registry::Credentials> Questions::credentials(const std::string& domain, const std::string& path,
                                                            const std::stop_token& stop) {
    const auto given = ask(CredentialsQuestion{.domain = domain, .path = path}, stop);
    if (!given) return std::nullopt;
    std::string text = read_value(given->value, kMaxCredentials);
    const util::Defer forget([&] { wipe(text); });
    const nlohmann::json json = oci::parse_json(text, kMaxCredentials, "the host's credentials", "worker.bad-message");
    oci::JsonObject object(json, "the host's credentials", "worker.bad-message");
    return registry::Credentials{.username = object.text("username"),
                                 .password = object.text("password"),
                                 .identity_token = object.text("identity_token"),
                                 .registry_token = object.text("registry_token"),
                                 .found_in = "the program that embeds imgbuild"};
}

std::optional<Questions::Given> Questions::ask(Question question, const std::stop_token& stop) {
    unsigned number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = ++last_;
        open_[number];
    }
    channel_.send(encode(FromWorker(Ask{.number = number, .question = std::move(question)})));
    std::unique_lock lock(mutex_);
    const bool answered = changed_.wait(lock, stop, [&] { return open_[number].answer.has_value(); });
    auto node = open_.extract(number);
    lock.unlock();
    if (!answered) throw Cancelled();
    const Answer& answer = *node.mapped().answer;
    if (answer.failure) rethrow(*answer.failure, nullptr);
    if (!answer.found) return std::nullopt;
    return Given{.text = answer.text, .value = std::move(node.mapped().value)};
}

void Questions::take(Answer answer) {
    util::Fd value;
    if (answer.has_descriptor) value = channel_.take_descriptor();
    {
        const std::lock_guard lock(mutex_);
        const auto open = open_.find(answer.number);
        if (open == open_.end()) {
            // Of a question that a stopped step asked; a number that was never given is no answer.
            if (answer.number == 0 || answer.number > last_) throw bad_answer("an answer to no question");
            return;
        }
        open->second.value = std::move(value);
        open->second.answer = std::move(answer);
    }
    changed_.notify_all();
}

}  // namespace imgbuild::worker
