#include "parser/glob.hpp"

#include "parser/glob_program.hpp"
#include "util/text.hpp"

#include <vector>

namespace imgbuild::parser {

bool match_glob(std::string_view pattern, std::string_view name) {
    return GlobProgram(pattern, DoubleStar::plain).matches(name);
}

bool has_wildcard(std::string_view pattern) {
    return pattern.find_first_of("*?[\\") != std::string_view::npos;
}

std::string clean_pattern(std::string_view path) {
    const bool rooted = path.starts_with('/');
    std::vector<std::string_view> kept;
    for (const std::string_view part : util::split(path, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        const bool is_up = part == "..";
        if (is_up && !kept.empty() && kept.back() != "..") {
            kept.pop_back();
        } else if (!is_up || !rooted) {
            kept.push_back(part);
        }
    }
    std::string result = rooted ? "/" : "";
    for (std::size_t i = 0; i < kept.size(); ++i) {
        result += i == 0 ? "" : "/";
        result += kept[i];
    }
    return result.empty() ? "." : result;
}

}  // namespace imgbuild::parser
