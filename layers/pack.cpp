#include "layers/pack.hpp"

#include <imgbuild/error.hpp>

#include "layers/archive_reader.hpp"
#include "layers/decompress.hpp"
#include "layers/failure.hpp"
#include "util/background_hash.hpp"
#include "util/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <memory>

namespace imgbuild::layers {
namespace {

[[noreturn]] void bad_tree(const Entry& entry, std::string_view what) {
    throw CorruptData(
        {.code = "corrupt.tree",
         .message = fmt::format("the tree of a layer does not fit its names: {} {}", util::quote(entry.path), what),
         .hint = "something changed the store; `imgbuild prune --all` and build again",
         .where = {}});
}

// Opens files of a tree. Names come in path order, so most share the directory of the one before.
class TreeReader {
public:
    explicit TreeReader(const util::RootedDir& tree) : tree_(tree) {}

    util::Fd open(const Entry& entry) {
        const std::string_view parent = parent_path(entry.path);
        if (!directory_ || parent != parent_) {
            auto found = tree_.find(parent, O_PATH | O_DIRECTORY);
            if (!found) bad_tree(entry, "has no directory");
            directory_ = std::move(*found);
            parent_ = parent;
        }
        const std::string name(base_name(entry.path));
        // O_NONBLOCK: should somebody have put a fifo there, we say so instead of waiting.
        util::Fd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
        if (!fd && (errno == ENOENT || errno == ELOOP)) bad_tree(entry, "is missing");
        if (!fd) throw IoError("open", entry.path, errno);
        check_file(fd, entry);
        return fd;
    }

private:
    static void check_file(const util::Fd& fd, const Entry& entry) {
        struct stat status {};
        util::check(::fstat(fd.get(), &status), "look at", entry.path);
        if (!S_ISREG(status.st_mode)) bad_tree(entry, "is no regular file");
        if (std::cmp_not_equal(status.st_size, entry.size)) {
            bad_tree(entry, fmt::format("has {} bytes instead of {}", status.st_size, entry.size));
        }
    }

    const util::RootedDir& tree_;
    util::Fd directory_;
    std::string parent_;
};

// Ends a long file when somebody asks to stop.
class StoppableSource final : public util::Source {
public:
    StoppableSource(util::Source& inner, const std::stop_token& stop) : inner_(inner), stop_(stop) {}
    std::size_t read(std::span<std::byte> into) override {
        check_stop(stop_);
        return inner_.read(into);
    }

private:
    util::Source& inner_;
    const std::stop_token& stop_;
};

}  // namespace

void write_layer_tar(const NameIndex& names, const GiveContent& give, TarStream& out, std::stop_token stop) {
    TarWriter writer(out);
    for (const Entry& entry : names.entries()) {
        check_stop(stop);
        if (entry.type != EntryType::file || entry.size == 0) {
            writer.add(entry);
            continue;
        }
        give(entry, [&](util::Source& plain) {
            StoppableSource content(plain, stop);
            writer.add_file(entry, content);
        });
    }
    writer.finish();
}

void write_layer_tar(const NameIndex& names, const util::RootedDir& tree, TarStream& out, std::stop_token stop) {
    TreeReader files(tree);
    const auto give = [&](const Entry& entry, const std::function<void(util::Source&)>& take) {
        const util::Fd fd = files.open(entry);
        util::RegularFileSource content(fd.get(), entry.path, entry.size);
        take(content);
    };
    write_layer_tar(names, give, out, std::move(stop));
}

// Our own tars have their files in path order, as the index has, so both are read side by side.
void write_layer_tar(const NameIndex& names, util::Source& blob, TarStream& out, std::stop_token stop) {
    const auto plain = open_layer_blob(blob);
    ArchiveReader reader(*plain, AbsoluteNames::refuse, {}, stop);
    const auto give = [&](const Entry& entry, const std::function<void(util::Source&)>& take) {
        const Entry* found = reader.next();
        while (found != nullptr && found->path != entry.path) found = reader.next();
        if (found == nullptr || found->type != EntryType::file || found->size != entry.size) {
            bad_layer_tar(fmt::format("{} is not in it", util::quote(entry.path)));
        }
        take(reader.content());
    };
    write_layer_tar(names, give, out, stop);
    reader.drain();
}

// Without a blob the cutter's blocks would be copies for nothing, so the bytes only pass the hash; nor is there
// anything to cut and to hash again in a blob that is the tar itself.
class Packer::State final : public TarStream {
public:
    State(Codec codec, util::Sink* blob, unsigned threads, BlockReuse* reuse)
        : tar_(threads > 1 ? util::BackgroundHash::Threads::one : util::BackgroundHash::Threads::none),
          packed_(blob),
          plain_(codec.kind == Codec::Kind::none ? blob : nullptr),
          wanted_(blob != nullptr && plain_ == nullptr) {
        if (!wanted_) return;
        compressor_ = std::make_unique<BlockCompressor>(codec, packed_, threads, reuse);
        cutter_ =
            std::make_unique<BlockCutter>([this](BlockCutter::Block block) { compressor_->add(std::move(block)); });
    }

    void begin_entry(std::string_view path) override {
        if (wanted_) cutter_->begin_entry(path);
    }
    void begin_content(std::uint64_t size) override {
        if (wanted_) cutter_->begin_content(size);
    }
    void write(std::span<const std::byte> bytes) override {
        tar_.write(bytes);
        if (wanted_) cutter_->write(bytes);
        if (plain_ != nullptr) plain_->write(bytes);
    }

    PackResult finish() {
        if (wanted_) {
            cutter_->finish();
            compressor_->finish();
        }
        PackResult out{.diff_id = DiffId(tar_.finish()), .tar_size = tar_.size(), .blob = {}};
        if (wanted_) out.blob = PackedBlob{.digest = packed_.digest(), .size = packed_.size()};
        if (plain_ != nullptr) out.blob = PackedBlob{.digest = out.diff_id.digest(), .size = out.tar_size};
        return out;
    }

private:
    util::BackgroundHash tar_;
    util::HashingSink packed_;
    /// Gets the tar as it is.
    util::Sink* plain_;
    /// Is there something to compress?
    bool wanted_;
    std::unique_ptr<BlockCompressor> compressor_;
    std::unique_ptr<BlockCutter> cutter_;
};

Packer::Packer(Codec codec, util::Sink* blob, unsigned threads, BlockReuse* reuse)
    : state_(std::make_unique<State>(codec, blob, threads, reuse)) {}

Packer::~Packer() = default;

TarStream& Packer::stream() {
    return *state_;
}

PackResult Packer::finish() {
    return state_->finish();
}

PackResult pack(const NameIndex& names, const util::RootedDir& tree, Codec codec, util::Sink* blob, unsigned threads,
                std::stop_token stop, BlockReuse* reuse) {
    Packer packer(codec, blob, threads, reuse);
    write_layer_tar(names, tree, packer.stream(), std::move(stop));
    return packer.finish();
}

}  // namespace imgbuild::layers
