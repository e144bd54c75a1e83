// Expansion against dash: words of the part of the language that POSIX shells and build files share.

#include "parser/expand.hpp"

#include "tests/support/catch.hpp"
#include "util/text.hpp"

#include <unistd.h>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace imgbuild::parser;

namespace {

constexpr const char* kShell = "/bin/dash";

/// Random words. Patterns and defaults have no quotes of their own within double quotes, where shells differ.
class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    std::string word() {
        std::string result;
        for (std::size_t i = 1 + random_() % 4; i > 0; --i) {
            switch (random_() % 6) {
                case 0:
                    result += "'" + pick(kPlain) + pick(kPlain) + "'";
                    break;
                case 1:
                    result += "\"" + pick(kPlain) + variable(0) + pick(kEscaped) + "\"";
                    break;
                case 2:
                    result += pick(kEscaped);
                    break;
                case 3:
                    result += pick(kPlain);
                    break;
                default:
                    result += variable(0);
            }
        }
        return result;
    }

private:
    static inline const std::vector<std::string> kPlain = {"a", "b.c", "+", "x/y", "A", ","};
    static inline const std::vector<std::string> kEscaped = {"\\$", "\\\\", "\\\"", "z"};
    static inline const std::vector<std::string> kNames = {"one", "path", "empty", "unset", "dots"};
    static inline const std::vector<std::string> kPatterns = {"*", "?", "a*", "*/", ".*", "*.", "/*", "x", "??", "*a"};

    const std::string& pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }

    std::string variable(int depth) {
        const std::string& name = pick(kNames);
        switch (random_() % 5) {
            case 0:
                return "${" + name + "}";
            case 1: {
                static const std::vector<std::string> kChoices = {":-", "-", ":+", "+"};
                const std::string word = depth < 2 && random_() % 2 == 0 ? variable(depth + 1) : pick(kPlain);
                return "${" + name + pick(kChoices) + word + "}";
            }
            case 2: {
                static const std::vector<std::string> kTrims = {"#", "##", "%", "%%"};
                return "${" + name + pick(kTrims) + pick(kPatterns) + "}";
            }
            default:
                return "$" + name + "/";
        }
    }

    std::mt19937 random_;
};

/// What the shell makes of each word, as the value of an assignment: there it splits and globs nothing.
std::vector<std::string> ask_shell(const std::vector<std::string>& words) {
    std::array<char, 32> name{"/tmp/imgbuild-words-XXXXXX"};
    const int fd = ::mkstemp(name.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    std::ofstream script(name.data());
    script << "one=1 path=/usr/local/lib.so empty= dots=a.b.c\nunset unset\n";
    for (const std::string& word : words) {
        script << "w=" << word << "\nprintf '%s\\0' \"$w\"\n";
    }
    script.close();
    const std::string command = std::string("env -i ") + kShell + " " + name.data();
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::string output;
    std::array<char, 4096> buffer{};
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
        output.append(buffer.data(), count);
    }
    ::unlink(name.data());
    std::vector<std::string> result;
    for (const std::string_view value : imgbuild::util::split(output, '\0')) {
        result.emplace_back(value);
    }
    result.pop_back();
    return result;
}

}  // namespace

TEST_CASE("expansion agrees with dash on the language of POSIX") {
    if (::access(kShell, X_OK) != 0) {
        WARN("there is no dash here");
        return;
    }
    const unsigned seed = 20261125;
    CAPTURE(seed);
    Generator generator(seed);
    std::vector<std::string> words(4000);
    for (std::string& word : words) {
        word = generator.word();
    }
    const std::vector<std::string> expected = ask_shell(words);
    REQUIRE(expected.size() == words.size());
    const WordExpander expander(
        environment_of({{"one", "1"}, {"path", "/usr/local/lib.so"}, {"empty", ""}, {"dots", "a.b.c"}}));
    for (std::size_t i = 0; i < words.size(); ++i) {
        CAPTURE(words[i]);
        REQUIRE(expander.expand(words[i]) == expected[i]);
    }
}
