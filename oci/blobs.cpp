#include "oci/blobs.hpp"

#include <imgbuild/error.hpp>

#include <fmt/format.h>

namespace imgbuild::oci {
namespace {

// Keeps the text alive that it yields.
class TextSource final : public util::Source {
public:
    explicit TextSource(std::shared_ptr<const std::string> text) : text_(std::move(text)), rest_(*text_) {}
    std::size_t read(std::span<std::byte> into) override { return rest_.read(into); }

private:
    std::shared_ptr<const std::string> text_;
    util::MemorySource rest_;
};

}  // namespace

OpenContent open_text(std::string text) {
    return [shared = std::make_shared<const std::string>(std::move(text))] {
        return std::make_unique<TextSource>(shared);
    };
}

std::string fetch_document(BlobSource& source, const Descriptor& blob, std::size_t limit, std::stop_token stop) {
    if (blob.size > limit) {
        throw CorruptData({.code = "corrupt.too-large",
                           .message = fmt::format("document {} has {} bytes, more than the limit of {}",
                                                  blob.digest.text(), blob.size, limit),
                           .hint = {},
                           .where = {}});
    }
    util::StringSink text;
    source.fetch(blob, text, std::move(stop));
    return text.take();
}

}  // namespace imgbuild::oci
