// The tar is plain ustar. Names are short and known, so the one thing that ustar cannot say is a size of 8 GiB and
// more; then a pax header with the size stands before the entry, as every reader of today understands.
#include "registry/oci_archive.hpp"

#include <imgbuild/error.hpp>
#include <imgbuild/reference.hpp>

#include "oci/json_object.hpp"
#include "oci/manifest.hpp"
#include "registry/copy_blob.hpp"
#include "registry/docker_archive.hpp"
#include "registry/layout_format.hpp"
#include "util/assert.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <numeric>

namespace imgbuild::registry {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::uint64_t kLargestUstarSize = (std::uint64_t{1} << 33) - 1;
constexpr std::string_view kFileMode = "0000644";

using Block = std::array<char, kBlock>;

void put_field(Block& block, std::size_t at, std::string_view text) {
    std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
}

unsigned checksum(const Block& block) {
    return std::accumulate(block.begin(), block.end(), 0U,
                           [](unsigned sum, char c) { return sum + static_cast<unsigned char>(c); });
}

// Fields and offsets as in POSIX.1-2017 "ustar Interchange Format". Owner 0:0, time 0.
Block make_header(std::string_view name, char type, std::string_view mode, std::uint64_t size) {
    Block block{};
    put_field(block, 0, name);
    put_field(block, 100, mode);
    put_field(block, 108, "0000000");
    put_field(block, 116, "0000000");
    put_field(block, 124, fmt::format("{:011o}", std::min(size, kLargestUstarSize)));
    put_field(block, 136, "00000000000");
    put_field(block, 148, "        ");  // the checksum counts itself as blanks
    block[156] = type;
    put_field(block, 257, std::string_view("ustar\00000", 8));
    put_field(block, 148, fmt::format("{:06o}", checksum(block)));
    block[154] = '\0';
    return block;
}

void write_header(util::Sink& out, std::string_view name, char type, std::string_view mode, std::uint64_t size) {
    const Block block = make_header(name, type, mode, size);
    out.write(std::as_bytes(std::span(block)));
}

void write_padding(util::Sink& out, std::uint64_t size) {
    constexpr Block kZeros{};
    const std::size_t rest = size % kBlock;
    if (rest != 0) out.write(std::as_bytes(std::span(kZeros)).subspan(rest));
}

// "<length> size=<size>\n", where the length counts its own digits.
std::string size_record(std::uint64_t size) {
    const std::string body = fmt::format(" size={}\n", size);
    std::size_t length = body.size() + 1;
    while (fmt::formatted_size("{}", length) + body.size() != length) ++length;
    return fmt::format("{}{}", length, body);
}

void write_file_header(util::Sink& out, std::string_view name, std::uint64_t size) {
    if (size > kLargestUstarSize) {
        const std::string record = size_record(size);
        write_header(out, "pax-header", 'x', kFileMode, record.size());
        out.write(util::as_bytes(record));
        write_padding(out, record.size());
    }
    write_header(out, name, '0', kFileMode, size);
}

// What `docker load` wants to know of an image. Bare tags name nothing there.
nlohmann::json docker_entry(std::string_view manifest_bytes, std::span<const std::string> names) {
    const oci::Manifest manifest = oci::parse_manifest(manifest_bytes);
    nlohmann::json layers = nlohmann::json::array();
    for (const oci::Descriptor& layer : manifest.layers) layers.push_back(blob_file(layer.digest));
    nlohmann::json tags = nlohmann::json::array();
    for (const std::string& name : names) {
        if (name.contains('/')) tags.push_back(Reference::parse(name).familiar());
    }
    return {{"Config", blob_file(manifest.config.digest)}, {"Layers", layers}, {"RepoTags", tags}};
}

}  // namespace

// The room for its header is written first.
class OciArchiveWriter::Begun final : public oci::NamelessBlob {
public:
    explicit Begun(OciArchiveWriter& archive) : archive_(archive), at_(archive.file_->position()) {
        constexpr Block kRoom{};
        archive_.file_->write(std::as_bytes(std::span(kRoom)));
        archive_.has_begun_ = true;
    }

    ~Begun() override {
        if (is_over_) return;
        try {
            give_up();
        } catch (const std::exception&) {
            // Who throws away a blob half-way throws away the archive, or comes across its file again.
        }
    }
    Begun(const Begun&) = delete;
    Begun& operator=(const Begun&) = delete;

    void write(std::span<const std::byte> bytes) override {
        archive_.file_->write(bytes);
        size_ += bytes.size();
    }

    void keep(const oci::Descriptor& blob) override {
        if (size_ != blob.size) {
            throw CorruptData(fmt::format("blob {}", blob.digest.text()), fmt::format("{} bytes", blob.size),
                              fmt::format("{} bytes", size_));
        }
        // A larger one needs two headers.
        if (size_ > kLargestUstarSize || archive_.written_.contains(blob.digest)) return give_up();
        const Block header = make_header(blob_file(blob.digest), '0', kFileMode, size_);
        archive_.file_->overwrite(at_, std::as_bytes(std::span(header)));
        write_padding(archive_.out_, size_);
        archive_.written_.insert(blob.digest);
        end();
    }

private:
    void give_up() {
        end();
        archive_.file_->cut(at_);
    }
    void end() {
        is_over_ = true;
        archive_.has_begun_ = false;
    }

    OciArchiveWriter& archive_;
    std::uint64_t at_;
    std::uint64_t size_ = 0;
    bool is_over_ = false;
};

OciArchiveWriter::OciArchiveWriter(util::FileSink& out, Docker docker)
    : OciArchiveWriter(static_cast<util::Sink&>(out), docker) {
    file_ = &out;
}

OciArchiveWriter::OciArchiveWriter(util::Sink& out, Docker docker) : out_(out), docker_(docker) {
    add_text(kLayoutFile, kLayoutMarker);
    write_header(out_, "blobs/", '5', "0000755", 0);
    write_header(out_, fmt::format("{}/", kBlobDirectory), '5', "0000755", 0);
}

void OciArchiveWriter::add_text(std::string_view name, std::string_view text) {
    write_file_header(out_, name, text.size());
    out_.write(util::as_bytes(text));
    write_padding(out_, text.size());
}

std::unique_ptr<oci::NamelessBlob> OciArchiveWriter::begin_blob() {
    IMGBUILD_ASSERT(!has_begun_);
    return file_ == nullptr ? nullptr : std::make_unique<Begun>(*this);
}

bool OciArchiveWriter::has(const oci::Descriptor& blob, std::stop_token) {
    return written_.contains(blob.digest);
}

void OciArchiveWriter::put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) {
    IMGBUILD_ASSERT(!has_begun_);
    if (!written_.insert(blob.digest).second) return;
    const auto content = open();
    write_file_header(out_, blob_file(blob.digest), blob.size);
    copy_blob(blob, *content, out_, fmt::format("blob {}", blob.digest.text()), stop);
    write_padding(out_, blob.size);
}

void OciArchiveWriter::put_manifest(const oci::Descriptor& manifest, std::string_view bytes,
                                    std::span<const std::string> tags, std::stop_token stop) {
    put(manifest, oci::open_text(std::string(bytes)), std::move(stop));
    manifests_.push_back({manifest, std::string(bytes), {tags.begin(), tags.end()}});
}

void OciArchiveWriter::finish() {
    nlohmann::json index = empty_layout_index();
    for (const Listed& listed : manifests_) list_in_index(index, listed.descriptor, listed.names);
    add_text(kIndexFile, oci::canonical_json(index));
    if (docker_ == Docker::yes) {
        nlohmann::json images = nlohmann::json::array();
        for (const Listed& listed : manifests_) images.push_back(docker_entry(listed.bytes, listed.names));
        add_text(kDockerManifestFile, oci::canonical_json(images));
    }
    // Two empty blocks end an archive.
    constexpr std::array<char, 2 * kBlock> kEnd{};
    out_.write(std::as_bytes(std::span(kEnd)));
}

}  // namespace imgbuild::registry
