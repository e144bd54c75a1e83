#include "layers/file_system.hpp"

#include <imgbuild/error.hpp>

#include "tests/support/catch.hpp"

using namespace imgbuild::layers;

namespace {

constexpr std::uint64_t kFuse = 0x65735546;

}  // namespace

TEST_CASE("file systems that other machines see are told by their number") {
    const auto [magic, name] = GENERATE(table<std::uint64_t, std::string>({{0x6969, "NFS"},
                                                                           {0xff534d42, "CIFS"},
                                                                           {0xfe534d42, "SMB2"},
                                                                           {0x01021997, "9p"},
                                                                           {0x00c36400, "Ceph"},
                                                                           {0x0bd00bd0, "Lustre"}}));
    CHECK(unreliable_file_system(magic, "") == name);
}

TEST_CASE("a machine's own file systems can hold a store") {
    // ext, xfs, btrfs, tmpfs, overlay, zfs, f2fs
    const auto magic =
        GENERATE(as<std::uint64_t>(), 0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010);
    CHECK_FALSE(unreliable_file_system(magic, ""));
}

TEST_CASE("FUSE is judged by the program behind it") {
    CHECK(unreliable_file_system(kFuse, "fuse.sshfs") == "sshfs");
    CHECK(unreliable_file_system(kFuse, "fuse.rclone") == "rclone");
    CHECK_FALSE(unreliable_file_system(kFuse, "fuse.fuse-overlayfs"));
    CHECK_FALSE(unreliable_file_system(kFuse, "virtiofs"));
    CHECK_FALSE(unreliable_file_system(kFuse, "fuse"));
    // Only FUSE lets programs choose their names.
    CHECK_FALSE(unreliable_file_system(0xef53, "fuse.sshfs"));
}

TEST_CASE("a place that does not exist yet is judged by its nearest parent") {
    CHECK_NOTHROW(require_reliable_file_system("/tmp/imgbuild-no-such/a/b"));
    CHECK_NOTHROW(require_reliable_file_system("/"));
}
