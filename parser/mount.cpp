#include "parser/mount.hpp"

#include "parser/glob.hpp"
#include "parser/reject.hpp"
#include "parser/values.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace imgbuild::parser {
namespace {

constexpr std::array<std::string_view, 5> kTypeNames = {"bind", "cache", "tmpfs", "secret", "ssh"};

/// A key with its other spellings, and the types that have it.
struct Option {
    std::string_view name;
    std::string_view canonical;
    std::string_view types;
};

constexpr std::array<Option, 19> kOptions = {{{"type", "type", "bind cache tmpfs secret ssh"},
                                              {"from", "from", "bind cache"},
                                              {"source", "source", "bind cache secret"},
                                              {"src", "source", "bind cache secret"},
                                              {"target", "target", "bind cache tmpfs secret ssh"},
                                              {"dst", "target", "bind cache tmpfs secret ssh"},
                                              {"destination", "target", "bind cache tmpfs secret ssh"},
                                              {"readonly", "readonly", "bind cache"},
                                              {"ro", "readonly", "bind cache"},
                                              {"readwrite", "readwrite", "bind cache"},
                                              {"rw", "readwrite", "bind cache"},
                                              {"id", "id", "cache secret ssh"},
                                              {"sharing", "sharing", "cache"},
                                              {"mode", "mode", "cache secret ssh"},
                                              {"uid", "uid", "cache secret ssh"},
                                              {"gid", "gid", "cache secret ssh"},
                                              {"size", "size", "tmpfs"},
                                              {"required", "required", "secret ssh"},
                                              {"env", "env", "secret"}}};

[[noreturn]] void reject_mount(std::string message, std::string hint) {
    reject("parse.bad-mount", std::move(message), std::move(hint));
}

const Option& known_option(std::string_view key, const std::optional<std::string>& value) {
    const auto found = std::find_if(kOptions.begin(), kOptions.end(), [key](const Option& o) { return o.name == key; });
    if (found != kOptions.end()) {
        return *found;
    }
    std::vector<std::string_view> names;
    names.reserve(kOptions.size());
    for (const Option& option : kOptions) {
        names.push_back(option.name);
    }
    const std::optional<std::string_view> near = util::nearest(key, names);
    const std::string field = value ? fmt::format("{}={}", key, *value) : std::string(key);
    reject_mount(fmt::format("unexpected key {} in {}", util::quote(key), util::quote(field)),
                 near ? fmt::format("did you mean {}?", *near) : "see RUN --mount in docs/dockerfile.md");
}

/// Fills a Mount, one option after the other.
class MountBuilder {
public:
    explicit MountBuilder(MountType type) {
        mount_.type = type;
        mount_.read_only = type == MountType::bind;
    }

    void set(std::string_view key, const std::optional<std::string>& value);
    Mount finish();

private:
    void set_flag(std::string_view key, const std::optional<std::string>& value);
    void set_text(std::string_view key, std::string_view value);
    void fill_secret();
    void check_target() const;
    std::uint32_t number(std::string_view key, std::string_view value, int base) const;

    Mount mount_;
};

std::uint32_t MountBuilder::number(std::string_view key, std::string_view value, int base) const {
    const bool octal = base == 8;
    const std::size_t bad = value.find_first_not_of(octal ? "01234567" : "0123456789");
    std::uint64_t result = 0;
    const std::uint64_t limit = octal ? 07777 : 0xFFFFFFFE;
    for (const char c : value.substr(0, 12)) {
        result = result * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(c - '0');
    }
    if (value.empty() || bad != std::string_view::npos || value.size() > 12 || result > limit) {
        reject_mount(fmt::format("invalid value {} for {}", util::quote(value), key),
                     octal ? "write an octal number up to 07777" : "write a number");
    }
    return static_cast<std::uint32_t>(result);
}

void MountBuilder::set_flag(std::string_view key, const std::optional<std::string>& value) {
    const std::optional<bool> on = value ? parse_bool(*value) : std::optional(true);
    if (!on) {
        reject_mount(fmt::format("invalid value {} for {}", util::quote(*value), key), "write true or false");
    }
    if (key == "required") {
        mount_.required = *on;
    } else {
        mount_.read_only = *on == (key == "readonly");
    }
}

void MountBuilder::set_text(std::string_view key, std::string_view value) {
    if (key == "source") {
        mount_.source = value;
    } else if (key == "target") {
        mount_.target = value;
    } else if (key == "from") {
        mount_.from = value;
    } else if (key == "id") {
        mount_.id = value;
    } else if (key == "env") {
        mount_.env = value;
    } else if (key == "mode") {
        mount_.mode = number(key, value, 8);
    } else if (key == "uid") {
        mount_.uid = number(key, value, 10);
    } else if (key == "gid") {
        mount_.gid = number(key, value, 10);
    } else if (key == "size") {
        mount_.size = parse_size(value);
    } else if (key == "sharing") {
        static constexpr std::array<std::string_view, 3> kModes = {"shared", "private", "locked"};
        const auto mode = std::find(kModes.begin(), kModes.end(), util::to_lower(value));
        if (mode == kModes.end()) {
            reject_mount(fmt::format("unsupported sharing value {}", util::quote(value)),
                         "write shared, private or locked");
        }
        mount_.sharing = static_cast<CacheSharing>(mode - kModes.begin());
    }
}

void MountBuilder::set(std::string_view key, const std::optional<std::string>& value) {
    const Option& option = known_option(key, value);
    const std::vector<std::string_view> types = util::split(option.types, ' ');
    if (std::find(types.begin(), types.end(), mount_type_name(mount_.type)) == types.end()) {
        reject_mount(fmt::format("{} is not allowed for a mount of type {}", key, mount_type_name(mount_.type)),
                     fmt::format("it belongs to: {}", option.types));
    }
    const std::string_view name = option.canonical;
    if (name == "readonly" || name == "readwrite" || name == "required") {
        set_flag(name, value);
    } else if (!value) {
        reject_mount(fmt::format("{} in --mount needs a value", key), fmt::format("write {}=VALUE", key));
    } else {
        set_text(name, *value);
    }
}

/// The id of a secret is, in this order, what is written, its source, the name of its target.
void MountBuilder::fill_secret() {
    if (mount_.id.empty() && !mount_.source.empty()) {
        mount_.id = mount_.source;
    }
    if (mount_.id.empty() && !mount_.target.empty()) {
        mount_.id = mount_.target.substr(mount_.target.rfind('/') + 1);
    }
    if (mount_.id.empty()) {
        reject_mount("a secret needs an id or a target", "write id=NAME");
    }
    mount_.source.clear();
    if (mount_.target.empty() && mount_.env.empty()) {
        mount_.target = "/run/secrets/" + mount_.id.substr(mount_.id.rfind('/') + 1);
    }
}

void MountBuilder::check_target() const {
    if (clean_pattern(mount_.target) == "/") {
        reject_mount("invalid mount target \"/\"", "mount on a directory below it");
    }
}

Mount MountBuilder::finish() {
    switch (mount_.type) {
        case MountType::secret:
            fill_secret();
            break;
        case MountType::ssh:
            mount_.id = mount_.id.empty() ? "default" : mount_.id;
            break;
        case MountType::cache:
            check_target();
            mount_.id = mount_.id.empty() ? clean_pattern(mount_.target) : mount_.id;
            break;
        case MountType::bind:
        case MountType::tmpfs:
            check_target();
            break;
    }
    return std::move(mount_);
}

[[noreturn]] void reject_list(std::string message, std::string hint) {
    reject("parse.bad-flag-value", std::move(message), std::move(hint));
}

/// The next field of a comma-separated list, quotes resolved; `rest` is what follows its comma.
std::string take_field(std::string_view whole, std::string_view& rest) {
    std::string field;
    if (!rest.starts_with('"')) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        field = rest.substr(0, comma);
        rest.remove_prefix(comma);
        if (field.contains('"')) {
            reject_list(fmt::format("stray quote in --mount={}", shown(whole)),
                        "put the quotes around the whole field");
        }
        return field;
    }
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"' && rest.substr(i + 1).starts_with('"')) {
            ++i;
        } else if (rest[i] == '"') {
            rest.remove_prefix(i + 1);
            return field;
        }
        field.push_back(rest[i]);
    }
    reject_list(fmt::format("quote that is not closed in --mount={}", shown(whole)), "close the quote");
}

MountType parse_type(std::string_view text) {
    const auto found = std::find(kTypeNames.begin(), kTypeNames.end(), util::to_lower(text));
    if (found == kTypeNames.end()) {
        reject_mount(fmt::format("unsupported mount type \"{}\"", shown(text)),
                     fmt::format("known are {}", fmt::join(kTypeNames, ", ")));
    }
    return static_cast<MountType>(found - kTypeNames.begin());
}

}  // namespace

std::string_view mount_type_name(MountType type) {
    return kTypeNames.at(static_cast<std::size_t>(type));
}

MountFlag parse_mount_flag(std::string_view text, Span span) {
    if (text.empty()) {
        reject_list("--mount needs options", "write --mount=type=cache,target=PATH");
    }
    MountFlag flag;
    flag.span = span;
    std::string_view rest = text;
    while (true) {
        const std::string field = take_field(text, rest);
        const std::size_t equals = field.find('=');
        MountOption option{util::to_lower(std::string_view(field).substr(0, equals)), std::nullopt};
        if (equals != std::string::npos) {
            option.value = field.substr(equals + 1);
        }
        flag.options.push_back(std::move(option));
        if (rest.empty()) {
            return flag;
        }
        if (!rest.starts_with(',')) {
            reject_list(fmt::format("text behind a quote in --mount={}", shown(text)),
                        "put the quotes around the whole field");
        }
        rest.remove_prefix(1);
    }
}

Mount resolve_mount(const MountFlag& flag, const WordExpander& expander,
                    const std::shared_ptr<const SourceFile>& file) {
    try {
        std::vector<MountOption> options = flag.options;
        MountType type = MountType::bind;
        for (MountOption& option : options) {
            if (option.value) {
                option.value = expander.expand(*option.value);
            }
            if (option.key == "type") {
                type = parse_type(option.value.value_or(std::string()));
            }
        }
        MountBuilder builder(type);
        for (const MountOption& option : options) {
            if (option.key != "type") {
                builder.set(option.key, option.value);
            }
        }
        Mount mount = builder.finish();
        mount.span = flag.span;
        return mount;
    } catch (Error& error) {
        error.locate({file, flag.span});
        throw;
    }
}

}  // namespace imgbuild::parser
