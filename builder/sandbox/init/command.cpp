#include "builder/sandbox/init/command.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "builder/sandbox/init/notify.hpp"

namespace imgbuild::sandbox::init {
namespace {

constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;

/// Memory for the command's vectors; given back by exec.
template <class Element>
Element* allocate(const State& state, std::size_t count) {
    void* memory =
        mmap(nullptr, (count + 1) * sizeof(Element), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail(state, "allocate memory for", "the command's arguments");
    return static_cast<Element*>(memory);
}

/// A vector as execve() wants it, ended by a null pointer; with `more` at its end.
const char** make_vector(const State& state, const wire::TextList& list, const State::Variable* more = nullptr) {
    std::size_t count = list.count();
    for (const auto* variable = more; variable != nullptr; variable = variable->next) ++count;
    const char** vector = allocate<const char*>(state, count);
    std::size_t next = 0;
    list.each([&](wire::Text text) { vector[next++] = text.data; });
    for (; more != nullptr; more = more->next) vector[next++] = more->text;
    return vector;
}

void execute(const char* path, const char** args, const char** env) {
    syscall(SYS_execve, path, args, env);
}

const char* find_variable(const char** env, const char* name) {
    const std::size_t length = std::strlen(name);
    for (; *env != nullptr; ++env) {
        if (std::strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
    }
    return nullptr;
}

/// Tries `name` in each directory of `search`; returns the errno that tells the user most.
int execute_in_path(const char* search, const char** args, const char** env) {
    int reason = ENOENT;
    while (true) {
        const char* end = strchrnul(search, ':');
        const auto length = static_cast<int>(end - search);
        char path[4096];
        // An empty entry is the working directory, as for every shell.
        const int size =
            std::snprintf(path, sizeof(path), "%.*s%s%s", length, search, length == 0 ? "./" : "/", args[0]);
        if (size > 0 && static_cast<std::size_t>(size) < sizeof(path)) {
            execute(path, args, env);
            if (errno != ENOENT && errno != ENOTDIR && reason == ENOENT) reason = errno;
            // It is there, so what is missing is its interpreter.
            if (errno == ENOENT && access(path, F_OK) == 0) return ENOENT;
        }
        if (*end == '\0') return reason;
        search = end + 1;
    }
}

const char* explain(int reason, bool exists) {
    switch (reason) {
        case ENOENT:
            return exists ? "it exists, but its interpreter or dynamic loader does not" : "not found";
        case ENOTDIR:
            return "not found";
        case EACCES:
            return "permission denied";
        case ENOEXEC:
            return "not a program for this machine, and not a script that begins with '#!'";
        default:
            return std::strerror(reason);
    }
}

[[noreturn]] void give_up(const char* program, int reason) {
    const bool by_path = std::strchr(program, '/') != nullptr;
    const bool exists = by_path && access(program, F_OK) == 0;
    char line[1024];
    const int size = std::snprintf(line, sizeof(line), "imgbuild: cannot execute '%.700s': %s%s\n", program,
                                   explain(reason, exists), !by_path && reason == ENOENT ? " in PATH" : "");
    [[maybe_unused]] const auto written = write(STDERR_FILENO, line, static_cast<std::size_t>(size));
    _exit(reason == ENOENT || reason == ENOTDIR ? kNotFound : kNotExecutable);
}

/// Of those that we have: a worker in a container may not have all.
void set_capabilities(const State& state, std::uint64_t kept) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    check(state, syscall(SYS_capget, &header, data), "ask for", "capabilities");
    for (unsigned word = 0; word < 2; ++word) {
        data[word].permitted &= static_cast<std::uint32_t>(kept >> (32 * word));
        data[word].effective = data[word].permitted;
        data[word].inheritable = 0;
    }
    check(state, syscall(SYS_capset, &header, data), "set", "capabilities");
}

}  // namespace

void prepare_command(State& state) {
    check(state, setsid(), "make", "a session");
    const int null = check(state, open("/dev/null", O_RDWR | O_CLOEXEC), "open", "/dev/null");
    check(state, dup2(null, STDIN_FILENO), "duplicate", "/dev/null");
    check(state, syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC), "close", "descriptors");
    // Handlers end with exec, but what the worker ignores would stay ignored.
    for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
}

void carry_out(State& state, const op::ChangeDirectory<Viewed>& operation) {
    check(state, chdir(operation.target.data), "enter working directory", operation.target.data);
}

void carry_out(State& state, const op::InstallFilter<Viewed>& operation) {
    install_filter(state, operation.profile.data, operation.program, operation.unheard);
}

void carry_out(State& state, const op::BoundCapabilities<Viewed>& operation) {
    state.capabilities = operation.capabilities;
    check(state, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear", "ambient capabilities");
    for (unsigned long number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
        if ((operation.capabilities >> number & 1) != 0) continue;
        check(state, prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "bound", "capabilities");
    }
}

void carry_out(State& state, const op::SetIdentity<Viewed>& operation) {
    gid_t* groups = allocate<gid_t>(state, operation.groups.count());
    std::size_t count = 0;
    operation.groups.each([&](std::uint32_t group) { groups[count++] = group; });
    check(state, setgroups(count, groups), "set", "supplementary groups");
    check(state, setresgid(operation.gid, operation.gid, operation.gid), "set", "group id");
    check(state, setresuid(operation.uid, operation.uid, operation.uid), "set", "user id");
    set_capabilities(state, operation.uid == 0 ? state.capabilities : 0);
}

void carry_out(State& state, const op::SetSecretVariable<Viewed>& operation) {
    const wire::Text value = secret_value(state, operation.secret);
    if (std::memchr(value.data, 0, value.size) != nullptr) {
        errno = EINVAL;
        fail(state, "set the variable", operation.name.data, "the secret contains a NUL byte, which no variable can");
    }
    const std::size_t name_size = operation.name.size;
    char* text = allocate<char>(state, name_size + 1 + value.size);
    std::memcpy(text, operation.name.data, name_size);
    text[name_size] = '=';
    std::memcpy(text + name_size + 1, value.data, value.size);
    auto* variable = allocate<State::Variable>(state, 1);
    *variable = {.text = text, .next = state.secret_variables};
    state.secret_variables = variable;
}

void carry_out(State& state, const op::Execute<Viewed>& operation) {
    umask(operation.umask);
    const char** args = make_vector(state, operation.args);
    const char** env = make_vector(state, operation.env, state.secret_variables);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (std::strchr(args[0], '/') != nullptr) {
        execute(args[0], args, env);
        give_up(args[0], errno);
    }
    const char* search = find_variable(env, "PATH");
    give_up(args[0], execute_in_path(search != nullptr ? search : "/bin:/usr/bin", args, env));
}

}  // namespace imgbuild::sandbox::init
