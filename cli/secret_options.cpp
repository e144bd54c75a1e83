#include "cli/secret_options.hpp"

#include <imgbuild/error.hpp>

#include "cli/outputs.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>

namespace imgbuild::cli {
namespace {

struct Fields {
    std::string type;
    std::string id;
    std::string source;
    std::string variable;
};

UsageError bad_secret(const std::string& what) {
    return UsageError({.code = "usage.bad-secret",
                       .message = "--secret: " + what,
                       .hint = "for example --secret id=token,src=token.txt or --secret id=token,env=TOKEN",
                       .where = {}});
}

// The option itself is no secret, but what people mistake for one might stand in it: only names of keys are quoted.
Fields parse_fields(const std::string& text) {
    Fields out;
    for (const std::string& field : split_csv(text)) {
        const std::size_t equals = field.find('=');
        const std::string key = util::to_lower(field.substr(0, equals));
        if (equals == std::string::npos) throw bad_secret("every part is KEY=VALUE");
        const std::string value = field.substr(equals + 1);
        if (key == "type") {
            out.type = value;
        } else if (key == "id") {
            out.id = value;
        } else if (key == "src" || key == "source") {
            out.source = value;
        } else if (key == "env") {
            out.variable = value;
        } else {
            throw bad_secret(fmt::format("there is no key {}", util::quote(key)));
        }
    }
    if (!out.type.empty() && out.type != "file" && out.type != "env") {
        throw bad_secret(fmt::format("the type {} is neither file nor env", util::quote(out.type)));
    }
    if (out.id.empty()) throw bad_secret("it has no id");
    if (!out.source.empty() && !out.variable.empty()) throw bad_secret("it has both src and env");
    if (out.type == "file" && !out.variable.empty()) throw bad_secret("a file has no env");
    // As docker has it: type=env,src=NAME.
    if (out.type == "env" && out.variable.empty()) out.variable = std::exchange(out.source, "");
    return out;
}

// The bytes on the stack, from where a core or /proc would have them.
void wipe_variable(const std::string& name) {
    char* value = ::getenv(name.c_str());
    if (value == nullptr) return;
    ::explicit_bzero(value, std::strlen(value));
    ::unsetenv(name.c_str());
}

std::optional<util::Fd> from_variable(const std::string& name) {
    char* value = ::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return builder::secret_from_text(value);
}

Error unreadable(const Fields& fields, const std::string& why) {
    return Error({.code = "source.secret",
                  .message = fmt::format("the secret {} cannot be read: {}", util::quote(fields.id), why),
                  .hint = "paths in --secret are relative to the current directory",
                  .where = {}});
}

util::Fd from_file(const Fields& fields, const std::string& path) {
    try {
        return builder::secret_from_file(path);
    } catch (const IoError& error) {
        throw unreadable(fields, error.message());
    }
}

util::Fd read_secret(const Fields& fields, std::set<std::string>& variables) {
    if (!fields.source.empty()) return from_file(fields, fields.source);
    const bool may_be_file = fields.type != "env" && fields.variable.empty();
    if (fields.type != "file") {
        const std::string& name = fields.variable.empty() ? fields.id : fields.variable;
        if (auto value = from_variable(name)) {
            variables.insert(name);
            return std::move(*value);
        }
        if (!may_be_file) throw unreadable(fields, fmt::format("the variable {} is not set", util::quote(name)));
    }
    return from_file(fields, fields.id);
}

}  // namespace

std::function<std::optional<util::Fd>(const std::string& id)> read_secrets(const std::vector<std::string>& options) {
    const auto known = std::make_shared<std::map<std::string, util::Fd>>();
    // Wiped at the end, since one variable may be several secrets.
    std::set<std::string> variables;
    for (const std::string& text : options) {
        const Fields fields = parse_fields(text);
        if (known->contains(fields.id)) {
            throw bad_secret(fmt::format("the id {} is given twice", util::quote(fields.id)));
        }
        known->emplace(fields.id, read_secret(fields, variables));
    }
    for (const std::string& name : variables) wipe_variable(name);
    return [known](const std::string& id) -> std::optional<util::Fd> {
        const auto at = known->find(id);
        if (at == known->end()) return std::nullopt;
        return at->second.duplicate();
    };
}

}  // namespace imgbuild::cli
