#include "builder/sandbox/init/answers.hpp"

#include <linux/audit.h>

#include <cerrno>

namespace imgbuild::sandbox::init {
namespace {

// The numbers of every architecture whose programs a step can run (seccomp_profile.cpp).
constexpr struct {
    std::uint32_t architecture;
    int number;
    Call call;
} kCalls[] = {{AUDIT_ARCH_X86_64, 133, Call::mknod},     {AUDIT_ARCH_X86_64, 259, Call::mknodat},
              {AUDIT_ARCH_X86_64, 188, Call::setxattr},  {AUDIT_ARCH_X86_64, 189, Call::lsetxattr},
              {AUDIT_ARCH_X86_64, 190, Call::fsetxattr}, {AUDIT_ARCH_X86_64, 92, Call::chown},
              {AUDIT_ARCH_X86_64, 94, Call::lchown},     {AUDIT_ARCH_X86_64, 93, Call::fchown},
              {AUDIT_ARCH_X86_64, 260, Call::fchownat},  {AUDIT_ARCH_I386, 14, Call::mknod},
              {AUDIT_ARCH_I386, 297, Call::mknodat},     {AUDIT_ARCH_I386, 226, Call::setxattr},
              {AUDIT_ARCH_I386, 227, Call::lsetxattr},   {AUDIT_ARCH_I386, 228, Call::fsetxattr},
              {AUDIT_ARCH_I386, 212, Call::chown},       {AUDIT_ARCH_I386, 198, Call::lchown},
              {AUDIT_ARCH_I386, 207, Call::fchown},      {AUDIT_ARCH_I386, 298, Call::fchownat},
              {AUDIT_ARCH_AARCH64, 33, Call::mknodat},   {AUDIT_ARCH_AARCH64, 5, Call::setxattr},
              {AUDIT_ARCH_AARCH64, 6, Call::lsetxattr},  {AUDIT_ARCH_AARCH64, 7, Call::fsetxattr},
              {AUDIT_ARCH_AARCH64, 55, Call::fchown},    {AUDIT_ARCH_AARCH64, 54, Call::fchownat},
              {AUDIT_ARCH_ARM, 14, Call::mknod},         {AUDIT_ARCH_ARM, 324, Call::mknodat},
              {AUDIT_ARCH_ARM, 226, Call::setxattr},     {AUDIT_ARCH_ARM, 227, Call::lsetxattr},
              {AUDIT_ARCH_ARM, 228, Call::fsetxattr},    {AUDIT_ARCH_ARM, 212, Call::chown},
              {AUDIT_ARCH_ARM, 198, Call::lchown},       {AUDIT_ARCH_ARM, 207, Call::fchown},
              {AUDIT_ARCH_ARM, 325, Call::fchownat}};

bool changes_owner(Call call) {
    return call == Call::chown || call == Call::lchown || call == Call::fchown || call == Call::fchownat;
}

Call call_of(const seccomp_data& data) {
    for (const auto& known : kCalls) {
        if (known.architecture == data.arch && known.number == data.nr) return known.call;
    }
    return Call::none;
}

}  // namespace

Answer answer_call(int listener, const seccomp_notif& question) {
    const Call call = call_of(question.data);
    if (call == Call::none) return {.error = ENOSYS};
    // The kernel itself refuses owners that it does not know.
    if (own().proc < 0 || own().root < 0) return changes_owner(call) ? kGoesOn : Answer{.error = EOPNOTSUPP};
    Desk desk(listener, question);
    if (!desk.open()) return {.error = EPERM};
    switch (call) {
        case Call::mknod:
        case Call::mknodat:
            return make_device(desk, call);
        case Call::setxattr:
        case Call::lsetxattr:
        case Call::fsetxattr:
            return set_attribute(desk, call);
        default:
            return change_owner(desk, call);
    }
}

}  // namespace imgbuild::sandbox::init
