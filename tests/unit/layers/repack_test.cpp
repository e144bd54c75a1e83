// A tree that is edited again and again: what the cut rule promises for that, and that blocks which are taken from
// earlier blobs change no byte.
#include "layers/block_cutter.hpp"
#include "layers/block_table.hpp"
#include "layers/pack.hpp"
#include "layers/prune.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/layers/layer_maker.hpp"
#include "tests/unit/layers/store_fixture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

using namespace imgbuild;
using namespace imgbuild::layers;
using namespace imgbuild::layers::test;

namespace {

// Files in a few directories, in path order, most of them small and some larger than any block.
class EditedFiles {
public:
    explicit EditedFiles(std::mt19937_64& random) : random_(random) {
        for (int i = 0; i < 400; ++i) add();
        for (int i = 0; i < 2; ++i) files_[new_path()] = content(5'000'000 + random_() % 3'000'000);
    }

    void edit() { edit(std::next(files_.begin(), static_cast<std::ptrdiff_t>(random_() % files_.size()))); }

    void edit_largest() {
        const auto file = std::ranges::max_element(files_, {}, [](const auto& entry) { return entry.second.size(); });
        if (file->second.size() > 4'000'000) return edit(file);
        files_[new_path()] = content(5'000'000 + random_() % 3'000'000);
    }

    void write(TarStream& out) const {
        TarWriter writer(out);
        for (const auto& [path, text] : files_) {
            util::MemorySource source(text);
            writer.add_file(file(path, text.size()), source);
        }
        writer.finish();
    }

private:
    using Files = std::map<std::string, std::string, PathLess>;

    void edit(Files::iterator file) {
        switch (random_() % 7) {
            case 0:
                return add();
            case 1:
                files_.erase(file);
                return;
            case 2: {
                auto moved = files_.extract(file);
                moved.key() = new_path();
                files_.insert(std::move(moved));
                return;
            }
            case 3:
                file->second += content(1 + random_() % 10'000);
                return;
            case 4:
                file->second.insert(random_() % (file->second.size() + 1), content(1 + random_() % 1000));
                return;
            case 5:
                file->second.resize(file->second.size() / 2);
                return;
            default:
                if (!file->second.empty()) file->second[random_() % file->second.size()] = '!';
        }
    }

    void add() { files_[new_path()] = content(random_() % (random_() % 10 == 0 ? 300'000 : 30'000)); }

    std::string new_path() { return fmt::format("d{}/f{}", random_() % 20, random_() % 1'000'000); }

    // Text of a few words: neither noise nor one long repetition.
    std::string content(std::size_t size) {
        std::string out;
        out.reserve(size + 30);
        while (out.size() < size) out += fmt::format("{:x} and {:x}\n", random_() % 4096, random_());
        out.resize(size);
        return out;
    }

    std::mt19937_64& random_;
    Files files_;
};

std::vector<Digest> blocks_of(const EditedFiles& files) {
    std::vector<Digest> out;
    BlockCutter cutter([&](BlockCutter::Block block) {
        out.push_back(util::Sha256::of({reinterpret_cast<const char*>(block.data()), block.size()}));
    });
    files.write(cutter);
    cutter.finish();
    return out;
}

Digest blob_of(const EditedFiles& files, Codec codec, unsigned threads) {
    util::StringSink blob;
    Packer packer(codec, &blob, threads);
    files.write(packer.stream());
    const PackResult result = packer.finish();
    CHECK(result.blob->digest == util::Sha256::of(blob.text()));
    return result.blob->digest;
}

// What a build does: bytes from this lease's table of blocks where it has them.
struct Repacked {
    BlobInfo blob;
    std::size_t found = 0;
};

Repacked repack(Lease& lease, const EditedFiles& files, Codec codec, unsigned threads) {
    BlobWriter writer = lease.begin_blob();
    BlockTable blocks(lease, codec);
    Packer packer(codec, &writer, threads, &blocks);
    files.write(packer.stream());
    const PackedBlob packed = packer.finish().blob.value();
    const BlobInfo blob = writer.commit(BlobInfo{.digest = packed.digest, .size = packed.size});
    blocks.record(blob);
    return {.blob = blob, .found = blocks.found()};
}

}  // namespace

TEST_CASE("an edited tree gives the same blob from one to eight threads", "[property]") {
    const std::uint64_t seed = fresh_seed();
    INFO("IMGBUILD_SEED=" << seed);
    std::mt19937_64 random(seed);
    EditedFiles files(random);
    for (int round = 0; round < rounds(4); ++round) {
        files.edit();
        const Codec codec{.kind = round % 2 == 0 ? Codec::Kind::gzip : Codec::Kind::zstd, .level = 1};
        const unsigned threads = 2 + static_cast<unsigned>(round) % 7;
        INFO("round " << round << ", " << threads << " threads");
        REQUIRE(blob_of(files, codec, threads) == blob_of(files, codec, 1));
    }
}

TEST_CASE("an edit leaves most blocks of its predecessor, over long sequences", "[property]") {
    const std::uint64_t seed = fresh_seed();
    INFO("IMGBUILD_SEED=" << seed);
    std::mt19937_64 random(seed);
    EditedFiles files(random);
    std::vector<Digest> before = blocks_of(files);
    std::size_t all = 0;
    std::size_t kept = 0;
    const int edits = rounds(20);
    for (int round = 0; round < edits; ++round) {
        files.edit();
        std::vector<Digest> after = blocks_of(files);
        const std::set<Digest> known(before.begin(), before.end());
        for (const Digest& block : after) kept += known.contains(block) ? 1 : 0;
        all += after.size();
        before = std::move(after);
    }
    // What is cut anew is the block of the edit and those up to where both sequences of cuts meet again.
    INFO(kept << " of " << all << " blocks after " << edits << " edits");
    CHECK(kept * 4 > all * 3);
}

TEST_CASE_METHOD(StoreFixture, "incremental repacking equals packing from nothing, over long sequences", "[property]") {
    const std::uint64_t seed = fresh_seed();
    INFO("IMGBUILD_SEED=" << seed);
    std::mt19937_64 random(seed);
    EditedFiles files(random);
    std::optional<Lease> lease = store->begin_lease();
    std::map<Codec::Kind, std::size_t> found;
    const int edits = rounds(20);
    for (int round = 0; round < edits; ++round) {
        for (std::uint64_t more = random() % 3; more > 0; --more) files.edit();
        files.edit_largest();
        // Some blobs go, and their blocks with them.
        if (random() % 8 == 0) {
            lease.reset();
            if (random() % 2 == 0) prune(root, PruneRules::everything());
            lease.emplace(store->begin_lease());
        }
        const Codec codec{.kind = random() % 2 == 0 ? Codec::Kind::gzip : Codec::Kind::zstd, .level = 1};
        const unsigned threads = random() % 3 == 0 ? 1 : 2 + static_cast<unsigned>(random() % 7);
        INFO("round " << round << ", " << codec.codec_id() << ", " << threads << " threads");
        const Repacked repacked = repack(*lease, files, codec, threads);
        REQUIRE(repacked.blob.digest == blob_of(files, codec, 2));
        found[codec.kind] += repacked.found;
    }
    INFO("gzip: " << found[Codec::Kind::gzip] << ", zstd: " << found[Codec::Kind::zstd] << " blocks");
    CHECK(found[Codec::Kind::gzip] + found[Codec::Kind::zstd] > static_cast<std::size_t>(edits));
}
