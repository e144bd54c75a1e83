// What the worker asks its host: secrets, ssh agents, credentials.
#pragma once

#include "builder/worker/channel.hpp"
#include "builder/worker/messages.hpp"
#include "registry/credentials.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

namespace imgbuild::worker {

/// Many threads may ask at once; one thread, which reads the channel, brings the answers.
class Questions {
public:
    /// `answered`: the kinds that the host answers; others are not asked, and have no answer.
    Questions(Channel& channel, std::vector<std::string> answered)
        : channel_(channel), answered_(std::move(answered)) {}

    bool answers(std::string_view kind) const;

    /// A sealed memory file of our own. Nothing: the host has no such secret. Throws what the host's side threw,
    /// Cancelled when `stop` fires.
    std::optional<util::Fd> secret(const std::string& id, const std::stop_token& stop);
    std::optional<std::string> agent(const std::string& id, const std::stop_token& stop);
    std::optional<registry::Credentials> credentials(const std::string& domain, const std::string& path,
                                                     const std::stop_token& stop);

    /// By the thread that reads. Throws CorruptData for an answer to no question.
    void take(Answer answer);

private:
    struct Given {
        std::string text;
        util::Fd value;
    };
    struct Open {
        std::optional<Answer> answer;
        util::Fd value;
    };

    std::optional<Given> ask(Question question, const std::stop_token& stop);

    Channel& channel_;
    std::vector<std::string> answered_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    unsigned last_ = 0;
    std::map<unsigned, Open> open_;
};

}  // namespace imgbuild::worker
