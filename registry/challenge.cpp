#include "registry/challenge.hpp"

#include "util/text.hpp"

#include <algorithm>

namespace imgbuild::registry {
namespace {

// More than any server has a reason to send; keeps a hostile header from costing anything.
constexpr std::size_t kMostChallenges = 16;
constexpr std::size_t kMostParameters = 32;

bool is_token_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    bool at_end() const { return at_ == text_.size(); }

    void skip(std::string_view characters) {
        while (!at_end() && characters.contains(text_[at_])) ++at_;
    }

    bool take(char c) {
        if (at_end() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    std::string_view token() {
        const std::size_t begin = at_;
        while (!at_end() && is_token_character(text_[at_])) ++at_;
        return text_.substr(begin, at_ - begin);
    }

    /// A token or a quoted string; nothing if it is neither.
    std::optional<std::string> value() {
        if (!take('"')) {
            const std::string_view plain = token();
            return plain.empty() ? std::nullopt : std::optional(std::string(plain));
        }
        std::string out;
        while (!at_end()) {
            const char c = text_[at_++];
            if (c == '"') return out;
            if (c != '\\') {
                out += c;
            } else if (!at_end()) {
                out += text_[at_++];
            }
        }
        return std::nullopt;
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

std::string Challenge::parameter(std::string_view name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> parse_challenges(std::string_view header) {
    std::vector<Challenge> out;
    Reader reader(header);
    for (;;) {
        reader.skip(" \t,");
        const std::string word = util::to_lower(reader.token());
        if (word.empty()) return out;
        reader.skip(" \t");
        // A name with "=" belongs to the challenge before it; one without begins the next.
        if (!reader.take('=')) {
            if (out.size() == kMostChallenges) return out;
            out.push_back({.scheme = word, .parameters = {}});
            continue;
        }
        reader.skip(" \t");
        auto value = reader.value();
        if (!value || out.empty() || out.back().parameters.size() == kMostParameters) return out;
        out.back().parameters.emplace(word, std::move(*value));
    }
}

std::optional<Challenge> choose_challenge(std::span<const std::string> headers) {
    std::optional<Challenge> basic;
    for (const std::string& header : headers) {
        for (Challenge& challenge : parse_challenges(header)) {
            if (challenge.scheme == "bearer" && !challenge.parameter("realm").empty()) return std::move(challenge);
            if (challenge.scheme == "basic" && !basic) basic = std::move(challenge);
        }
    }
    return basic;
}

}  // namespace imgbuild::registry
