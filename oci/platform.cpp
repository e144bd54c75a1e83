#include <imgbuild/platform.hpp>

#include <imgbuild/error.hpp>

#include "oci/platform_parts.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <sys/utsname.h>
#include <algorithm>
#include <array>
#include <charconv>

namespace imgbuild {
namespace oci {
namespace {

constexpr std::array<std::string_view, 17> kSystems{"aix",     "android", "darwin",  "dragonfly", "freebsd", "hurd",
                                                    "illumos", "ios",     "js",      "linux",     "nacl",    "netbsd",
                                                    "openbsd", "plan9",   "solaris", "windows",   "zos"};
constexpr std::array<std::string_view, 24> kArchitectures{
    "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
    "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
    "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64",   "wasm"};

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    throw UsageError({.code = "usage.bad-platform",
                      .message = fmt::format("{} is not a platform: {}", util::quote(text), why),
                      .hint = "write it as os/arch or os/arch/variant, for example linux/amd64 or linux/arm/v7",
                      .where = {}});
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool consists_of(std::string_view text, std::string_view others) {
    return std::all_of(text.begin(), text.end(), [&](char c) { return is_alphanumeric(c) || others.contains(c); });
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& known, std::string_view word) {
    return std::find(known.begin(), known.end(), word) != known.end();
}

std::string normalized_os(std::string_view os) {
    std::string lower = util::to_lower(os);
    return lower == "macos" ? "darwin" : lower;
}

struct Machine {
    std::string architecture;
    std::string variant;
};

std::string normalized_arm_variant(std::string variant) {
    if (variant.empty()) return "v7";
    const bool bare = variant.size() == 1 && variant[0] >= '5' && variant[0] <= '8';
    return bare ? "v" + variant : variant;
}

std::string normalized_arm64_variant(std::string variant) {
    if (variant == "8" || variant == "v8" || variant == "v8.0") return {};
    if (variant == "9" || variant == "9.0" || variant == "v9.0") return "v9";
    return variant;
}

// Names that kernels, compilers and distributions use, in the words of the index specification; a variant that every
// machine of the architecture has is no variant.
Machine normalized_machine(std::string_view architecture, std::string_view variant) {
    Machine out{.architecture = util::to_lower(architecture), .variant = util::to_lower(variant)};
    std::string& name = out.architecture;
    if (name == "i386") return {.architecture = "386", .variant = {}};
    if (name == "armhf") return {.architecture = "arm", .variant = "v7"};
    if (name == "armel") return {.architecture = "arm", .variant = "v6"};
    if (name == "x86_64" || name == "x86-64") name = "amd64";
    if (name == "aarch64") name = "arm64";
    if (name == "amd64" && out.variant == "v1") out.variant.clear();
    if (name == "arm64") out.variant = normalized_arm64_variant(std::move(out.variant));
    if (name == "arm") out.variant = normalized_arm_variant(std::move(out.variant));
    return out;
}

// While parsing, defaults stay unsaid: "linux/arm" is remembered as such and only its normal form says v7.
Machine parsed_machine(std::string_view architecture) {
    Machine out = normalized_machine(architecture, {});
    if (out.architecture == "arm" && out.variant == "v7") out.variant.clear();
    return out;
}

Machine parsed_machine(std::string_view architecture, std::string_view variant) {
    Machine out = normalized_machine(architecture, variant);
    if (out.architecture == "arm64" && out.variant.empty()) out.variant = "v8";
    return out;
}

std::string percent_decode(std::string_view text, std::string_view whole) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned char value = 0;
        const char* const begin = text.data() + std::min(i + 1, text.size());
        const char* const end = text.data() + std::min(i + 3, text.size());
        if (end - begin != 2 || std::from_chars(begin, end, value, 16).ptr != end) {
            refuse(whole, "'%' in the version must be followed by two hexadecimal digits");
        }
        out += static_cast<char>(value);
        i += 2;
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (is_alphanumeric(c) || std::string_view("_.-").contains(c)) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

// "os", "os()", "os(version)", "os(version+feature+feature)", "os(+feature)"
void parse_os(std::string_view piece, std::string_view whole, PlatformParts& out) {
    constexpr std::string_view kWhy = "the operating system must look like linux or windows(10.0.17763+win32k)";
    const std::size_t open = piece.find('(');
    const std::string_view name = piece.substr(0, open);
    if (name.empty() || !consists_of(name, "_-")) refuse(whole, kWhy);
    out.os = normalized_os(name);
    if (open == std::string_view::npos) return;
    if (!piece.ends_with(')')) refuse(whole, kWhy);
    const std::string_view inner = piece.substr(open + 1, piece.size() - open - 2);
    const std::vector<std::string_view> items = util::split(inner, '+');
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (!consists_of(items[i], "_.%-") || (i > 0 && items[i].empty())) refuse(whole, kWhy);
        std::string item = percent_decode(items[i], whole);
        if (i == 0) {
            out.os_version = std::move(item);
        } else {
            out.os_features.push_back(std::move(item));
        }
    }
}

void set_machine(PlatformParts& out, Machine machine) {
    out.architecture = std::move(machine.architecture);
    out.variant = std::move(machine.variant);
}

PlatformParts parse_single(std::string_view text, PlatformParts parts, const Platform& host) {
    if (is_one_of(kSystems, parts.os)) {
        set_machine(parts, parsed_machine(host.architecture));
        // A host of an older ARM than the default must not ask for images that it cannot run.
        if (host.architecture == "arm" && host.variant != "v7") parts.variant = host.variant;
        return parts;
    }
    Machine machine = parsed_machine(text);
    if (!is_one_of(kArchitectures, machine.architecture)) {
        refuse(text, "it is neither an operating system nor an architecture that we know");
    }
    parts.os = host.os;
    set_machine(parts, std::move(machine));
    return parts;
}

}  // namespace

std::string PlatformParts::text() const {
    std::string out = os + "/" + architecture;
    if (!variant.empty()) out += "/" + variant;
    return out;
}

std::string PlatformParts::text_with_version() const {
    std::string out = os;
    if (!os_version.empty() || !os_features.empty()) {
        out += "(" + percent_encode(os_version);
        for (const std::string& feature : os_features) out += "+" + percent_encode(feature);
        out += ")";
    }
    out += "/" + architecture;
    if (!variant.empty()) out += "/" + variant;
    return out;
}

PlatformParts PlatformParts::normalized() const {
    PlatformParts out = *this;
    out.os = normalized_os(os);
    set_machine(out, normalized_machine(architecture, variant));
    return out;
}

PlatformParts parse_platform_parts(std::string_view text, const Platform& host) {
    if (text.contains('*')) refuse(text, "wildcards are not supported");
    const std::vector<std::string_view> pieces = util::split(text, '/');
    PlatformParts parts;
    parse_os(pieces[0], text, parts);
    for (std::size_t i = 1; i < pieces.size(); ++i) {
        if (pieces[i].empty() || !consists_of(pieces[i], "_.-")) {
            refuse(text, "architecture and variant are made of letters, digits, '_', '.' and '-'");
        }
    }
    switch (pieces.size()) {
        case 1:
            return parse_single(text, std::move(parts), host);
        case 2:
            set_machine(parts, parsed_machine(pieces[1]));
            return parts;
        case 3:
            set_machine(parts, parsed_machine(pieces[1], pieces[2]));
            return parts;
        default:
            refuse(text, "it has more than three parts");
    }
}

Platform normalized_platform(std::string_view os, std::string_view architecture, std::string_view variant,
                             std::string os_version) {
    Machine machine = normalized_machine(architecture, variant);
    return {.os = normalized_os(os),
            .architecture = std::move(machine.architecture),
            .variant = std::move(machine.variant),
            .os_version = std::move(os_version)};
}

}  // namespace oci

Platform Platform::parse(std::string_view text) {
    oci::PlatformParts parts = oci::parse_platform_parts(text, host()).normalized();
    if (!parts.os_features.empty()) oci::refuse(text, "features of the operating system cannot be asked for");
    return {.os = std::move(parts.os),
            .architecture = std::move(parts.architecture),
            .variant = std::move(parts.variant),
            .os_version = std::move(parts.os_version)};
}

Platform Platform::host() {
    struct utsname name {};
    ::uname(&name);
    const std::string_view machine = name.machine;
    // 32-bit ARM kernels say their version in the name: armv6l, armv7l, armv8l.
    if (machine.starts_with("armv") && machine.size() > 4) {
        return oci::normalized_platform("linux", "arm", machine.substr(3, 2), {});
    }
    if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) {
        return oci::normalized_platform("linux", "386", {}, {});
    }
    if (machine == "loongarch64") return oci::normalized_platform("linux", "loong64", {}, {});
    return oci::normalized_platform("linux", machine, {}, {});
}

std::string Platform::text() const {
    return variant.empty() ? os + "/" + architecture : os + "/" + architecture + "/" + variant;
}

namespace {

// The generation that a variant names: "v7" is 7, "v8.2" is 802; no variant is the first one, which every machine has.
std::optional<int> generation(const Platform& platform) {
    std::string_view variant = platform.variant;
    if (variant.empty()) return 0;
    if (!variant.starts_with('v')) return std::nullopt;
    variant.remove_prefix(1);
    const std::size_t dot = variant.find('.');
    const auto major = util::parse_number(variant.substr(0, dot));
    const auto minor =
        dot == std::string_view::npos ? std::optional<std::uint64_t>(0) : util::parse_number(variant.substr(dot + 1));
    if (!major || !minor || *major > 99 || *minor > 99) return std::nullopt;
    return static_cast<int>(*major * 100 + *minor);
}

}  // namespace

bool satisfies(const Platform& image, const Platform& wanted) {
    if (image.os != wanted.os || image.architecture != wanted.architecture) return false;
    if (!wanted.os_version.empty() && image.os_version != wanted.os_version) return false;
    if (image.variant == wanted.variant) return true;
    const auto have = generation(image);
    const auto limit = generation(wanted);
    return have && limit && *have <= *limit;
}

}  // namespace imgbuild
