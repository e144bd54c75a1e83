// What the kernel's overlayfs really shows, against what our indexes say about it. Needs root; skipped otherwise.
#include <imgbuild/error.hpp>

#include "layers/diff.hpp"
#include "layers/pack.hpp"
#include "layers/patch.hpp"
#include "layers/tree_writer.hpp"
#include "layers/unpack.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <exception>
#include <map>
#include <thread>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;
using util::Follow;

namespace {

constexpr std::int64_t kTime = 1'000'000'000;

// Runs the body in a thread that has a mount namespace of its own: its mounts go when it ends.
void in_mount_namespace(const std::function<void()>& body) {
    if (::geteuid() != 0) {
        WARN("skipped: mounting an overlay needs root here");
        return;
    }
    std::exception_ptr failure;
    std::thread thread([&] {
        try {
            util::check(::unshare(CLONE_NEWNS | CLONE_FS), "unshare", "");
            util::check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private", "/");
            body();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    thread.join();
    if (failure) std::rethrow_exception(failure);
}

class Overlay {
public:
    /// Trees oldest first; with an upper directory it can be written to.
    Overlay(const std::vector<const Tree*>& trees, const Tree* upper) {
        std::string options = "userxattr,lowerdir=";
        for (auto it = trees.rbegin(); it != trees.rend(); ++it)
            options += (it == trees.rbegin() ? "" : ":") + (*it)->path();
        if (trees.size() == 1 && upper == nullptr) options += ":" + empty_.path();
        if (upper != nullptr) options += ",upperdir=" + upper->path() + ",workdir=" + work_.path();
        util::check(::mount("overlay", point_.path().c_str(), "overlay", 0, options.c_str()), "mount", options);
    }
    ~Overlay() { ::umount2(point_.path().c_str(), MNT_DETACH); }
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    const std::string& path() const { return point_.path(); }

private:
    Tree point_;
    Tree work_;
    Tree empty_;
};

using Listing = std::map<std::string, std::string>;

std::string line_of(const Entry& entry, const std::string& content) {
    const bool link = entry.type == EntryType::symlink;
    return fmt::format("{} {:o} {}:{} {} {} {} {}", static_cast<int>(entry.type), link ? 0777 : entry.mode, entry.uid,
                       entry.gid, entry.mtime, entry.size, entry.link_target, util::Sha256::of(content).brief());
}

// Everything that a mounted tree shows, by the same walk that makes layers: no overlay mark is left in a mount.
Listing list_mount(const std::string& path) {
    const auto root = util::RootedDir::open(path);
    const ScanResult all =
        scan_upper(root, {.layer_time = 4'000'000'000, .below = nullptr, .given_away = {}, .stop = {}});
    Listing out;
    for (const Entry& entry : all.names.entries()) {
        if (entry.path.empty()) continue;
        Entry file = entry.type == EntryType::hardlink ? *all.names.find(entry.link_target) : entry;
        const bool regular = file.type == EntryType::file;
        out[entry.path] = line_of(file, regular ? root.read_file(entry.path, 64U << 20).value_or("(none)") : "");
    }
    return out;
}

void list_view(const ChainView& view, const std::vector<const Tree*>& trees, std::string_view path, Listing& out) {
    for (const Found& child : view.children(path)) {
        const Found file = view.inode(child);
        std::string content;
        if (file.entry->type == EntryType::file) content = trees[file.layer]->read(view.tree_path(file));
        out[child.entry->path] = line_of(*file.entry, content);
        if (file.entry->type == EntryType::directory) list_view(view, trees, child.entry->path, out);
    }
}

Listing list_view(const ChainView& view, const std::vector<const Tree*>& trees) {
    Listing out;
    list_view(view, trees, "", out);
    return out;
}

std::string differences(const Listing& a, const Listing& b) {
    std::string out;
    for (const auto& [path, line] : a) {
        const auto other = b.find(path);
        if (other == b.end()) {
            out += path + ": only first\n";
        } else if (other->second != line) {
            out += path + ": " + line + " | " + other->second + "\n";
        }
    }
    for (const auto& [path, line] : b) {
        if (!a.contains(path)) out += path + ": only second\n";
    }
    return out;
}

// Names from a small set, so that layers meet.
std::string random_path(std::mt19937_64& random) {
    std::string out;
    const std::uint64_t depth = 1 + random() % 3;
    for (std::uint64_t i = 0; i < depth; ++i)
        out = join_path(out, std::string(1, static_cast<char>('a' + random() % 4)));
    return out;
}

std::string random_layer_tar(std::mt19937_64& random) {
    std::vector<RawHeader> headers;
    const std::uint64_t count = 1 + random() % 8;
    for (std::uint64_t i = 0; i < count; ++i) {
        RawHeader header{
            .name = random_path(random), .mode = random() & 0777U, .uid = random() % 3, .mtime = random() % 1000};
        const std::string base(base_name(header.name));
        const std::string parent(parent_path(header.name));
        switch (random() % 8) {
            case 0:
            case 1:
                header.type = '5';
                break;
            case 2:
                header.name = join_path(parent, ".wh." + base);
                break;
            case 3:
                header.name = join_path(header.name, ".wh..wh..opq");
                break;
            default:
                header.content = fmt::format("{}", random());
        }
        headers.push_back(header);
    }
    return raw_tar(headers);
}

// A layer of random changes that do not contradict themselves (a file with something in it is tried again).
NameIndex unpack_random(std::mt19937_64& random, std::unique_ptr<Tree>& tree) {
    for (;;) {
        tree = std::make_unique<Tree>();
        const std::string tar = random_layer_tar(random);
        util::MemorySource source(tar);
        try {
            return unpack_layer(source, tree->root()).names;
        } catch (const CorruptData&) {
            continue;
        }
    }
}

void change_something(std::mt19937_64& random, const std::string& mount) {
    const std::string path = mount + "/" + random_path(random);
    const std::string other = mount + "/" + random_path(random);
    // Failures are part of the game: half of these make no sense.
    switch (random() % 9) {
        case 0:
            if (::access(path.c_str(), F_OK) == 0) util::remove_all(path);
            break;
        case 1:
            static_cast<void>(::mkdir(path.c_str(), 0755));
            break;
        case 2:
            static_cast<void>(::rename(path.c_str(), other.c_str()));
            break;
        case 3:
            static_cast<void>(::chmod(path.c_str(), static_cast<mode_t>(random() & 0777U)));
            break;
        case 4:
            static_cast<void>(::link(path.c_str(), other.c_str()));
            break;
        case 5:
            static_cast<void>(::symlink("target", path.c_str()));
            break;
        case 6:
            static_cast<void>(::lchown(path.c_str(), static_cast<uid_t>(random() % 3), 7));
            break;
        default: {
            const util::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
            if (fd) util::write_all(fd.get(), fmt::format("{}", random()), path);
        }
    }
}

struct Chain {
    std::vector<std::unique_ptr<Tree>> owned;
    std::vector<const Tree*> trees;
    ChainView::Layers layers;

    void add(std::unique_ptr<Tree> tree, NameIndex names) {
        trees.push_back(tree.get());
        owned.push_back(std::move(tree));
        layers.push_back(std::make_shared<const NameIndex>(std::move(names)));
    }
};

std::unique_ptr<Tree> make_patch(const ChainView& view, const std::vector<const Tree*>& trees) {
    auto out = std::make_unique<Tree>();
    std::vector<util::RootedDir> roots;
    for (const Tree* tree : trees) roots.push_back(tree->root().duplicate());
    TreeWriter writer(out->root());
    write_patch(plan_patch(view), roots, writer);
    writer.finish();
    return out;
}

Chain random_chain(std::mt19937_64& random) {
    Chain chain;
    const std::uint64_t count = 1 + random() % 4;
    for (std::uint64_t i = 0; i < count; ++i) {
        std::unique_ptr<Tree> tree;
        NameIndex names = unpack_random(random, tree);
        chain.add(std::move(tree), std::move(names));
    }
    return chain;
}

}  // namespace

TEST_CASE("a stack with its patch on top shows what the chain's view says") {
    in_mount_namespace([] {
        const std::uint64_t seed = fresh_seed();
        INFO("IMGBUILD_SEED=" << seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < 100; ++round) {
            const Chain chain = random_chain(random);
            const ChainView view(chain.layers);
            const auto patch = make_patch(view, chain.trees);
            std::vector<const Tree*> stack = chain.trees;
            stack.push_back(patch.get());
            const Overlay overlay(stack, nullptr);
            INFO("round " << round);
            REQUIRE(differences(list_mount(overlay.path()), list_view(view, chain.trees)) == "");
        }
    });
}

TEST_CASE("what a step changed, packed and applied again, gives the tree that the step left") {
    in_mount_namespace([] {
        const std::uint64_t seed = fresh_seed();
        INFO("IMGBUILD_SEED=" << seed);
        std::mt19937_64 random(seed);
        for (int round = 0; round < 60; ++round) {
            INFO("round " << round);
            Chain chain = random_chain(random);
            const ChainView below(chain.layers);
            const auto patch = make_patch(below, chain.trees);
            std::vector<const Tree*> stack = chain.trees;
            stack.push_back(patch.get());

            auto upper = std::make_unique<Tree>();
            Listing left;
            {
                const Overlay overlay(stack, upper.get());
                for (int i = 0; i < 12; ++i) change_something(random, overlay.path());
            }
            ScanResult diff =
                scan_upper(upper->root(), {.layer_time = kTime, .below = &below, .given_away = {}, .stop = {}});
            stack.push_back(upper.get());
            {
                const Overlay overlay(stack, nullptr);
                left = list_mount(overlay.path());
            }

            TarString tar;
            write_layer_tar(diff.names, upper->root(), tar);
            util::MemorySource source(tar.text());
            auto applied = std::make_unique<Tree>();
            UnpackResult unpacked = unpack_layer(source, applied->root());
            stack.back() = applied.get();
            {
                const Overlay overlay(stack, nullptr);
                REQUIRE(differences(left, list_mount(overlay.path())) == "");
            }
            chain.add(std::move(applied), std::move(unpacked.names));
            REQUIRE(differences(left, list_view(ChainView(chain.layers), chain.trees)) == "");
        }
    });
}
