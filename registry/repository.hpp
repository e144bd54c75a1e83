// One repository of one registry: where blobs and manifests are read and written.
#pragma once

#include <imgbuild/digest.hpp>
#include <imgbuild/reference.hpp>

#include "oci/blobs.hpp"
#include "oci/resolve.hpp"
#include "oci/verifying_sink.hpp"
#include "registry/client.hpp"

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

class Repository final : public oci::BlobSource, public oci::BlobSink {
public:
    /// Only the reference's domain and path matter. `mount_from`: paths of other repositories on the same registry that
    /// may already have the blobs to be pushed (a base image's); the registry then links them instead of receiving
    /// them.
    Repository(RegistryClient& client, const Reference& reference, std::vector<std::string> mount_from = {});

    void fetch(const oci::Descriptor& blob, util::Sink& into, std::stop_token stop) override;

    bool has(const oci::Descriptor& blob, std::stop_token stop) override;
    void put(const oci::Descriptor& blob, const oci::OpenContent& open, std::stop_token stop) override;
    /// `tags` are bare ("latest").
    void put_manifest(const oci::Descriptor& manifest, std::string_view bytes, std::span<const std::string> tags,
                      std::stop_token stop) override;

    /// A manifest or an index by tag ("latest") or digest ("sha256:…"), as it came; verified against the digest, if it
    /// was asked for by one. `media_type` of the descriptor is what the registry called it, empty if nothing useful.
    oci::Document fetch_manifest(std::string_view tag_or_digest, std::stop_token stop);
    /// The digest of what fetch_manifest() would bring, for the price of a HEAD, which rate limits do not count.
    /// Nothing if the registry does not have it, or does not say; fetch_manifest() then tells which.
    std::optional<Digest> find_manifest(std::string_view tag_or_digest, std::stop_token stop);

private:
    /// Where the bytes of a new blob are to be sent; nothing if the registry had them in another repository.
    std::optional<Url> begin_upload(const oci::Descriptor& blob, const Purpose& purpose, std::stop_token stop);
    void upload(const oci::Descriptor& blob, const oci::OpenContent& open, const Purpose& purpose,
                std::stop_token stop);
    void fetch_rest(const oci::Descriptor& blob, oci::VerifyingSink& sink, const Purpose& purpose,
                    std::stop_token stop);
    void put_named(const oci::Descriptor& manifest, std::string_view bytes, std::string_view tag_or_digest,
                   std::stop_token stop);

    HttpRequest request(std::string_view method, std::string_view below) const;
    /// What a token has to allow.
    enum class Access { pull, push };
    Purpose purpose(std::string_view what, Access access) const;

    RegistryClient& client_;
    std::string domain_;
    std::string path_;
    std::vector<std::string> mount_from_;
};

}  // namespace imgbuild::registry
